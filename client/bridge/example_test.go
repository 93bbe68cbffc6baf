package bridge_test

import (
	"context"
	"fmt"
	"log"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25/mo"

	"github.com/vigate/vigate/client"
	"github.com/vigate/vigate/client/bridge"
	"github.com/vigate/vigate/vigatetest"
)

// The client logs in, and govmomi's property collector reads with the same session.
func ExampleVim25() {
	server, err := vigatetest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	ctx := context.Background()
	c, err := server.Connect(ctx, vigatetest.Administrator())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	vc, err := bridge.Vim25(ctx, c)
	if err != nil {
		log.Fatal(err)
	}
	var root mo.Folder
	err = property.DefaultCollector(vc).RetrieveOne(ctx, vc.ServiceContent.RootFolder, []string{"name"}, &root)
	fmt.Println(root.Name, err)
	fmt.Println("sessions:", len(server.Sessions()))
	// Output:
	// Datacenters <nil>
	// sessions: 1
}

// A program of govmomi keeps its session alive with the client, which knows how often that is needed.
func ExampleFromVim25() {
	server, err := vigatetest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	ctx := context.Background()
	vc, err := server.ConnectGovmomi(ctx, vigatetest.Administrator())
	if err != nil {
		log.Fatal(err)
	}

	c, err := bridge.FromVim25(ctx, vc.Client, client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.KeepAlive(ctx, 0); err != nil {
		log.Fatal(err)
	}
	mine, err := session.NewManager(vc.Client).UserSession(ctx)
	if err != nil {
		log.Fatal(err)
	}
	same, err := c.CurrentSession(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("one session:", mine.Key == same.Key)
	// Output: one session: true
}
