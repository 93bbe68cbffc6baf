package shared

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/trust/trusttest"
)

// configured returns a configuration with all files that are used with etcd.
func configured(t *testing.T) config.Etcd {
	t.Helper()
	dir := t.TempDir()
	cert, key := trusttest.New(t, "authority").Issue("node", nil)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	return config.Etcd{
		CA: write("ca", certPEM), Cert: write("cert", certPEM),
		Key:  write("key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		User: "vigate", PasswordFile: write("password", []byte("not to be shown")),
	}
}

// readAll reads all files of the configuration.
func readAll(cfg config.Etcd, log *slog.Logger) error {
	_, err := etcdTLS(cfg, log)
	_, perr := Password(cfg, log)
	return errors.Join(err, perr)
}

func TestASecretForEtcdThatEverybodyCanReadIsWarnedOf(t *testing.T) {
	cfg := configured(t)
	for _, file := range []string{cfg.Key, cfg.PasswordFile} {
		for _, c := range []struct {
			mode   os.FileMode
			warned bool
		}{{0o644, true}, {0o640, false}, {0o600, false}} {
			if err := os.Chmod(file, c.mode); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			if err := readAll(cfg, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(log.String(), "can be read by other accounts") != c.warned {
				t.Errorf("%s, mode %o: logged %q", file, c.mode, log.String())
			}
		}
	}
}

func TestFilesForEtcdThatOthersCouldChangeAreRefused(t *testing.T) {
	cfg := configured(t)
	quiet := slog.New(slog.DiscardHandler)
	if err := readAll(cfg, quiet); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{cfg.CA, cfg.Cert, cfg.Key, cfg.PasswordFile} {
		if err := os.Chmod(file, 0o620); err != nil {
			t.Fatal(err)
		}
		err := readAll(cfg, quiet)
		if !errors.Is(err, datadir.ErrUnsafe) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
