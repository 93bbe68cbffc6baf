package gateway

import (
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
)

// way is how clients reach a simulator.
type way string

// The ways.
const (
	direct   way = "direct"
	overSOAP way = "SOAP"    // through a front
	overJSON way = "VI JSON" // through a front
)

// adminPassword is that of the administrator of each front.
const adminPassword = "the administrator of the gateway"

// address is where clients reach a simulator, and as whom.
type address struct {
	Host, User, Password string // Host is host:port
}

// model returns the inventory that all tests begin with. A cluster has one host, because the simulator chooses at
// random where virtual machines are.
func model(kind lab.Kind) (lab.Model, error) {
	m, err := lab.NewModel(kind)
	if kind == lab.VCenter {
		m.Counts["hosts"] = 1
	}
	return m, err
}

// front starts a simulator with a front.
func front(t *testing.T, kind lab.Kind) address {
	t.Helper()
	at, end, err := open(t.Context(), kind, overSOAP)
	must(t, err)
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("end the server: %v", err)
		}
	})
	return at
}

// open starts a simulator, with or without a front.
func open(ctx context.Context, kind lab.Kind, w way) (at address, end func() error, err error) {
	m, err := model(kind)
	if err != nil {
		return at, nil, err
	}
	if w == direct {
		i, err := lab.OpenInventory(m)
		if err != nil {
			return at, nil, err
		}
		return address{i.URL.Host, i.User, i.Password.Reveal()}, func() error {
			i.Close()
			return nil
		}, nil
	}
	s, err := lab.Start(ctx, lab.Options{AdminPassword: secret.New(adminPassword), Inventory: &m})
	if err != nil {
		return at, nil, err
	}
	return address{s.Front().String(), lab.Administrator, adminPassword}, s.Close, nil
}

// serveSite is a process that has a simulator to itself. Simulators of one process share some of their content, such
// as options and roles. It prints the address and serves until the standard input ends.
func serveSite(kind, w string) int {
	at, end, err := open(context.Background(), lab.Kind(kind), way(w))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(at)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	if end != nil {
		err = errors.Join(err, end())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		return 1
	}
	return 0
}

// site is a simulator of its own, and the processes of govc that use it.
type site struct {
	way          way
	at           address
	govc, beside *govc
	values       map[string]string // of the variables of the table
}

// newSite starts the processes of a site. files is the directory of the files that clients need.
func newSite(t *testing.T, kind lab.Kind, w way, files string) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{way: w, values: map[string]string{"files": files, "dir": dir}}
	c := startChild(t, childSite, dir, nil, string(kind), string(w))
	must(t, json.NewDecoder(c.out).Decode(&s.at))
	env := []string{
		"GOVC_URL=https://" + s.at.Host + "/sdk", "GOVC_INSECURE=true", "GOVC_USERNAME=" + s.at.User,
		"GOVC_PASSWORD=" + s.at.Password, "GOVC_SHOW_UNRELEASED=true",
	}
	if w == overJSON {
		env = append(env, "GOVC_VI_JSON=true")
	}
	s.govc, s.beside = startGovc(t, dir, env...), startGovc(t, dir, env...)
	return s
}

// files returns a directory with what is in testdata/files, and with the disk and the manifest of the appliance there.
func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS("testdata/files")))
	must(t, os.WriteFile(filepath.Join(dir, "tiny.vmdk"), disk(), 0o600))
	var manifest strings.Builder
	for _, name := range []string{"tiny.ovf", "tiny.vmdk"} {
		fmt.Fprintf(&manifest, "SHA1(%s)= %x\n", name, sha1.Sum([]byte(readFile(t, filepath.Join(dir, name)))))
	}
	must(t, os.WriteFile(filepath.Join(dir, "tiny.mf"), []byte(manifest.String()), 0o600))
	return dir
}

// disk returns a file that begins as a virtual disk does that is optimized for streams: with a header and a descriptor,
// a sector each.
func disk() []byte {
	const sector, compressed = 512, 1 << 16
	b := make([]byte, 2*sector, 3*sector)
	binary.LittleEndian.PutUint32(b, 0x564d444b) // KDMV
	binary.LittleEndian.PutUint32(b[4:], 3)
	binary.LittleEndian.PutUint32(b[8:], compressed)
	binary.LittleEndian.PutUint64(b[12:], 2048) // sectors
	copy(b[sector:], "# Disk DescriptorFile\nversion=1\nCID=7b3eb8c7\nparentCID=ffffffff\n"+
		"createType=\"streamOptimized\"\nRDONLY 2048 SPARSE \"tiny.vmdk\"\nddb.adapterType = \"ide\"\n")
	for n := range sector {
		b = append(b, byte(n*7))
	}
	return b
}
