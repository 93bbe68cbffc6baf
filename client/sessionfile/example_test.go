package sessionfile_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/vigate/vigate/client"
	"github.com/vigate/vigate/client/sessionfile"
	"github.com/vigate/vigate/vigatetest"
)

// A program logs in at its first run, and goes on with the session at the next one.
func Example() {
	server, err := vigatetest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	files := sessionfile.In(dir) // a program that shares the sessions of `vigate login` takes Default()
	for range 2 {
		if err := run(context.Background(), server, files); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("sessions:", len(server.Sessions()))
	// Output:
	// logged in
	// found a session
	// sessions: 1
}

func run(ctx context.Context, server *vigatetest.Server, files sessionfile.Files) error {
	c, err := client.New(ctx, client.Config{URL: server.URL().String(), TLS: client.TLS{Pool: server.CertPool()}})
	if err != nil {
		return err
	}
	defer c.Close() // the session goes on

	user := vigatetest.Administrator()
	saved, err := files.Find(c.URL(), user.Name)
	if err != nil {
		return err
	}
	if saved != nil {
		c.SetToken(saved.Token)
		if current, err := c.CurrentSession(ctx); err != nil || current != nil {
			fmt.Println("found a session")
			return err
		}
	}
	login, err := c.Login(ctx, user.Name, user.Password, "")
	if err != nil {
		return err
	}
	fmt.Println("logged in")
	return files.Save(&sessionfile.Session{
		URL: c.URL(), User: user.Name, UserName: login.UserName, Release: c.Release(), Since: time.Now(),
		Token: c.Token(),
	})
}
