//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/bench/etcd"
	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/process"
	"github.com/vigate/vigate/bench/wire"
)

// siteSize is the number of etcd members and the number of nodes.
const siteSize = 3

// etcdModule is the directory of the module that determines etcd's version.
const etcdModule = "../test/etcd"

// site is a cluster of vigate nodes and an etcd cluster, all on this machine and disk. The etcd
// members sync to disk.
type site struct {
	members, nodes []*server
	etcd           *etcd.Client
	admin          string          // token of an administrator
	extension      tls.Certificate // certificate of extensionKey
}

const (
	extensionKey  = "com.example.bench"
	extensionRoot = wire.Root + "ExtensionManager/ExtensionManager/"
)

// extensionLogin returns a login request for which the server hashes no password.
func extensionLogin() []byte {
	return wire.Post(wire.SessionManager+"LoginExtensionByCertificate", "",
		fmt.Sprintf(`{"extensionKey":%q}`, extensionKey))
}

// login returns the target for extensionLogin on the i-th node.
func (s *site) login(i int) load.Target { return s.loginAt(s.nodes[i%siteSize]) }

func (s *site) loginAt(n *server) load.Target {
	return load.Target{Address: n.secure, TLS: true, Certificate: &s.extension}
}

// startSite starts a whole cluster.
func (r *rig) startSite(ctx context.Context) (*site, error) {
	s := &site{}
	if err := r.startMembers(ctx, s); err != nil {
		return nil, err
	}
	var endpoints []string
	for _, m := range s.members {
		endpoints = append(endpoints, m.plain)
	}
	for i := range siteSize {
		n, err := r.launchVigate(fmt.Sprintf("node%d", i), "--store",
			"etcd://"+strings.Join(endpoints, ",")+"/vigate",
			"--node-name", fmt.Sprintf("n%d", i), "--etcd-start-timeout", "5m")
		if err != nil {
			return nil, err
		}
		s.nodes = append(s.nodes, n)
		if err := n.ready(ctx); err != nil {
			return nil, err
		}
	}
	var err error
	if s.etcd, err = etcd.Dial(endpoints, siteSize); err != nil {
		return nil, err
	}
	if s.admin, err = login(ctx, s.nodes[0]); err != nil {
		return nil, err
	}
	return s, s.register(ctx)
}

// startMembers starts the etcd members.
func (r *rig) startMembers(ctx context.Context, s *site) error {
	var peers []string
	for i := range siteSize {
		address, err := process.FreeAddress()
		if err != nil {
			return err
		}
		peers = append(peers, fmt.Sprintf("m%d=http://%s", i, address))
	}
	for _, p := range peers {
		name, peer, _ := strings.Cut(p, "=")
		m, err := r.launch("etcd", "", func(m *server) []string {
			return []string{
				"--name", name, "--data-dir", r.data(name), "--log-level", "warn",
				"--listen-client-urls", "http://" + m.plain, "--advertise-client-urls", "http://" + m.plain,
				"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
				strings.Join(peers, ","),
			}
		})
		if err != nil {
			return err
		}
		s.members = append(s.members, m)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for _, m := range s.members {
		if err := m.Ready(ctx, "http://"+m.plain+"/health"); err != nil {
			return fmt.Errorf("start etcd: %w", err)
		}
	}
	return nil
}

// register registers an extension that logs in with its certificate.
func (s *site) register(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("create certificate: %w", err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: extensionKey},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return fmt.Errorf("create certificate: %w", err)
	}
	s.extension = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for _, step := range [][2]string{
		{"RegisterExtension", fmt.Sprintf(`{"extension":{"_typeName":"Extension",`+
			`"description":{"_typeName":"Description","label":"bench","summary":"bench"},`+
			`"key":%q,"version":"1","lastHeartbeatTime":"2026-01-01T00:00:00Z"}}`, extensionKey)},
		{"SetExtensionCertificate", fmt.Sprintf(`{"extensionKey":%q,"certificatePem":%q}`, extensionKey, text)},
	} {
		a, err := once(ctx, s.nodes[0].target(), wire.Post(extensionRoot+step[0], s.admin, step[1]))
		if err != nil {
			return fmt.Errorf("register extension: %w", err)
		}
		if a.Status/100 != 2 {
			return fmt.Errorf("register extension: %s: status %d: %.300s", step[0], a.Status, a.Body)
		}
	}
	for i := range s.nodes {
		if _, err := check(ctx, s.login(i), extensionLogin(), `"userName"`); err != nil {
			return fmt.Errorf("log extension in: %w", err)
		}
	}
	return nil
}

// stopSite stops the nodes and then the etcd members.
func (r *rig) stopSite(s *site) error {
	err := s.etcd.Close()
	for _, p := range slices.Concat(s.nodes, s.members) {
		err = errors.Join(err, r.stop(p))
	}
	return err
}
