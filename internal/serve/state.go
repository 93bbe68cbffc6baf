package serve

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/announce"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve/process"
)

// statusEvery is how often the service manager gets the server's state, if it has changed.
const statusEvery = 10 * time.Second

// stateOf returns the state of the server, which other programs may know, once it listens.
func (n *Node) stateOf(cfg config.Config) announce.State {
	s := announce.State{
		PlainHTTP: announce.URL("http", n.Addr("plain")), Unix: announce.URL("unix", n.Addr("unix")),
		Admin: announce.URL(adminScheme(cfg), n.Addr("admin")),
		PID:   os.Getpid(), User: firstUser(cfg), Data: cfg.Data, Version: Version, Started: n.now().UTC(),
		Commit: process.BuildOf().String(),
	}
	if addr := n.Addr("tls"); addr != nil {
		_, sum := n.certificate.Thumbprints()
		s.URL, s.Thumbprint = announce.URL("https", addr), colons(sum[:])
	}
	for _, u := range []string{s.PlainHTTP, s.Unix} {
		if s.URL == "" {
			s.URL = u
		}
	}
	for _, f := range n.fronts {
		url := announce.URL("https", n.FrontAddr(f.config.Name, "tls"))
		if url == "" {
			url = announce.URL("http", n.FrontAddr(f.config.Name, "plain"))
		}
		if s.Fronts == nil {
			s.Fronts = map[string]string{}
		}
		s.Fronts[f.config.Name] = url
	}
	return s
}

// adminScheme returns the scheme of the admin listener's URL.
func adminScheme(cfg config.Config) string {
	if len(cfg.AdminClientCA) > 0 || cfg.AdminTokenFile != "" {
		return "https"
	}
	return "http"
}

// logStart logs one line that says what has started, and a warning if the system does not allow as many open
// files as there may be connections.
func (n *Node) logStart(cfg config.Config) {
	n.logger.Info("the server starts", "version", Version, "commit", n.state.Commit, "pid", n.state.PID,
		"data", cfg.Data, "store", cfg.Store.String(), "sessions", n.Sessions.Size(), "url", n.state.URL,
		"thumbprint", n.state.Thumbprint)
	if files, known := process.OpenFiles(); known && files < uint64(cfg.MaxConnections) {
		n.logger.Warn("the limit of open files is below max-connections: connections will fail before it is reached",
			"files", files, "connections", cfg.MaxConnections)
	}
}

// logEnd logs one line that says how long the server has served, and why it ends if that is an error.
func (n *Node) logEnd(err error) {
	attrs := []any{"served", n.now().Sub(n.state.Started).Round(time.Second).String(), "sessions", n.Sessions.Size(),
		"requests", n.requests()}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	n.logger.Info("the server ends", attrs...)
}

// firstUser returns the name of the user that the first start makes.
func firstUser(cfg config.Config) string {
	return "administrator@" + strings.ToLower(cfg.DefaultDomain)
}

// status returns the server's state in one line for people.
func (n *Node) status() string {
	s := fmt.Sprintf("%s with %d sessions", n.state.URL, n.Sessions.Size())
	if err := n.ready(); err != nil {
		return "not ready: " + err.Error() + ": " + s
	}
	for _, f := range n.fronts {
		if err := f.ready(); err != nil {
			s += fmt.Sprintf("; front %s: %v", f.config.Name, err)
		}
	}
	return "serving " + s
}

// reportStatus is the periodic task that sends the state to the service manager.
func (n *Node) reportStatus(context.Context) error {
	n.announcer.Status(n.status())
	return nil
}
