package shared

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/trust/trusttest"
)

func TestAKeyForEtcdThatEverybodyCanReadIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	cert, key := trusttest.New(t, "authority").Issue("node", nil)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var cfg config.Config
	cfg.Etcd.Cert, cfg.Etcd.Key = write("cert", "CERTIFICATE", cert.Raw), write("key", "PRIVATE KEY", der)
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		if err := os.Chmod(cfg.Etcd.Key, mode); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		c, err := etcdTLS(cfg, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil || len(c.Certificates) != 1 {
			t.Fatal(err)
		}
		if strings.Contains(log.String(), "can be read by other accounts") != warned {
			t.Errorf("mode %o: logged %q", mode, log.String())
		}
	}
}
