package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/vigate/vigate/client"
	"github.com/vmware/govmomi/vim25/types"
)

func Example() {
	ctx := context.Background()
	c, err := client.New(ctx, client.Config{
		URL: "https://vc.example.com",
		TLS: client.TLS{Thumbprint: os.Getenv("VC_THUMBPRINT")},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	session, err := c.Login(ctx, "administrator@vsphere.local", os.Getenv("VC_PASSWORD"), "")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Logout(context.WithoutCancel(ctx)) }()
	fmt.Println("logged in as", session.UserName)
}

func ExampleAs() {
	var err error = fmt.Errorf("show sessions: %w", errors.New("something else"))

	var expired *types.NotAuthenticated
	var denied *types.NoPermission
	var busy *client.HTTPError
	switch {
	case client.As(err, &expired):
		fmt.Println("log in first")
	case client.As(err, &denied): // would also match NotAuthenticated
		fmt.Println("missing privilege", denied.PrivilegeId)
	case errors.As(err, &busy) && busy.RetryAfter > 0:
		fmt.Println("come back in", busy.RetryAfter)
	default:
		fmt.Println(err)
	}
	// Output: show sessions: something else
}

func ExampleConfig_login() {
	password := os.Getenv("VC_PASSWORD")
	c, err := client.New(context.Background(), client.Config{
		URL: "https://vc.example.com",
		Login: func(ctx context.Context, c *client.Client) error {
			_, err := c.Login(ctx, "backup@vsphere.local", password, "")
			return err
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	// The client logs in at the first call, and again if the session has ended.
	sessions, err := c.SessionList(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(sessions))
}

// With VIGATE_URL, VIGATE_USERNAME and VIGATE_PASSWORD set, a program needs no settings of its own.
func ExampleNewFromEnv() {
	ctx := context.Background()
	c, err := client.NewFromEnv(ctx, client.Config{UserAgent: "inventory-report/1.0"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	defer func() { _ = c.Logout(context.WithoutCancel(ctx)) }()
	sessions, err := c.SessionList(ctx) // logs in first
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(sessions))
}

func ExampleClient_KeepAlive() {
	var c *client.Client                               // logged in
	ended, err := c.KeepAlive(context.Background(), 0) // as often as the server needs it
	if err != nil {
		log.Fatal(err)
	}
	if reason := <-ended; !errors.Is(reason, client.ErrLoggedOut) {
		log.Print("session lost: ", reason)
	}
}

func ExampleClient_CloneSession() {
	ctx := context.Background()
	var one, two *client.Client // one is logged in
	ticket, err := one.AcquireCloneTicket(ctx)
	if err != nil {
		log.Fatal(err)
	}
	session, err := two.CloneSession(ctx, ticket)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.Key, session.UserName)
}

func ExampleClient_LoginByToken() {
	var c *client.Client
	header := os.Getenv("SIGN_HEADER") // or the Signer of govmomi's package sts
	sign := client.SignerFunc(func(req *http.Request) error {
		req.Header.Set("Authorization", header)
		return nil
	})
	if _, err := c.LoginByToken(context.Background(), sign, "en"); err != nil {
		log.Fatal(err)
	}
}

func ExampleClient_LoginExtensionByCertificate() {
	ctx := context.Background()
	cert, err := tls.LoadX509KeyPair("extension.pem", "extension.key")
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.New(ctx, client.Config{URL: "https://vc.example.com", TLS: client.TLS{Certificate: &cert}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.LoginExtensionByCertificate(ctx, "com.example.backup", ""); err != nil {
		log.Fatal(err)
	}
}

func ExampleClient_Invoke() {
	ctx := context.Background()
	var c *client.Client // logged in
	content, err := c.ServiceContent(ctx)
	if err != nil {
		log.Fatal(err)
	}
	var options []types.BaseOptionValue
	req := &types.QueryOptions{Name: "config.vmacore.soap."}
	if err := c.Invoke(ctx, *content.Setting, "QueryOptions", req, &options); err != nil {
		log.Fatal(err)
	}
	for _, o := range options {
		fmt.Println(o.GetOptionValue().Key, o.GetOptionValue().Value)
	}
}

func ExampleClient_Property() {
	var c *client.Client // logged in
	folder := types.ManagedObjectReference{Type: "Folder", Value: "group-d1"}
	var name string
	if err := c.Property(context.Background(), folder, "name", &name); err != nil {
		log.Fatal(err)
	}
	fmt.Println(name)
}

func ExampleToken() {
	token := client.NewToken("52f1d2c8a7…")
	fmt.Printf("%v %q %#v\n", token, token, token)
	// Output: [redacted] [redacted] [redacted]
}
