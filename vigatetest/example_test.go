package vigatetest_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/client"
	"github.com/vigate/vigate/vigatetest"
)

// A test calls vigatetest.New(t), which needs no error handling and no Close.
func Example() {
	server, err := vigatetest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	ctx := context.Background()

	c, err := server.ConnectGovmomi(ctx, vigatetest.Administrator())
	if err != nil {
		log.Fatal(err)
	}
	_, err = methods.GetCurrentTime(ctx, c)
	fmt.Println("before:", err)
	server.EndAll()
	_, err = methods.GetCurrentTime(ctx, c)
	fmt.Printf("after: %T\n", soap.ToSoapFault(err).VimFault())
	// Output:
	// before: <nil>
	// after: types.NotAuthenticated
}

func ExampleServer_Advance() {
	server, err := vigatetest.Start(vigatetest.WithIdleTimeout(5 * time.Minute))
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
	for range 3 {
		server.Advance(4 * time.Minute)
		s, err := c.CurrentSession(ctx)
		fmt.Println(s != nil, err)
	}
	server.Advance(6 * time.Minute)
	_, err = c.SessionList(ctx)
	var expired *types.NotAuthenticated
	fmt.Println("expired:", client.As(err, &expired))
	// Output:
	// true <nil>
	// true <nil>
	// true <nil>
	// expired: true
}

func ExampleServer_SetRole() {
	ann := vigatetest.User{Name: "ann@vsphere.local", Password: "password of Ann", Role: vigatetest.RoleAdmin}
	server, err := vigatetest.Start(vigatetest.WithUsers(ann))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	ctx := context.Background()

	c, err := server.Connect(ctx, ann)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.UpdateServiceMessage(ctx, "Maintenance at noon"))
	server.SetRole(ann.Name, vigatetest.RoleReadOnly)
	var denied *types.NoPermission
	if client.As(c.UpdateServiceMessage(ctx, "Maintenance is over"), &denied) {
		fmt.Println("missing privilege:", denied.PrivilegeId)
	}
	// Output:
	// <nil>
	// missing privilege: Sessions.GlobalMessage
}

func ExampleServer_Sessions() {
	server, err := vigatetest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	ctx := context.Background()

	leaky := func() error { // a program that forgets to log out
		c, err := server.Connect(ctx, vigatetest.Administrator())
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.CurrentSession(ctx)
		return err
	}
	for range 3 {
		if err := leaky(); err != nil {
			log.Fatal(err)
		}
	}
	for _, s := range server.Sessions() {
		fmt.Println(s.UserName, "with", s.UserAgent)
	}
	// Output:
	// VSPHERE.LOCAL\Administrator with vigate-client
	// VSPHERE.LOCAL\Administrator with vigate-client
	// VSPHERE.LOCAL\Administrator with vigate-client
}

func ExampleServer_Hold() {
	server, err := vigatetest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	c, err := server.Connect(context.Background(), vigatetest.Administrator())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	release := server.Hold()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err = c.SessionIsActive(ctx, "a key", "ann@vsphere.local")
	fmt.Println(ctx.Err(), err != nil)
	release()
	_, err = c.SessionList(context.Background())
	fmt.Println(err)
	// Output:
	// context deadline exceeded true
	// <nil>
}
