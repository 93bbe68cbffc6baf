package gateway

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/vmware/govmomi/guest"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/upstream/settings"
)

// machine is a guest of which a double knows a directory and a program. The simulator's guests are containers, which
// the machine of a test need not have.
type machine struct {
	mu    sync.Mutex // guards files
	files map[string]string
	wrong string // what a request had that it should not have, or nothing
}

// answers to the methods of guests. %s is the key of the session at the upstream.
var guestAnswers = map[string]string{
	"ListFilesInGuest": `<returnval><files><path>a.txt</path><type>file</type><size>5</size>` +
		`<attributes xsi:type="GuestPosixFileAttributes"><ownerId>7</ownerId></attributes></files>` +
		`<remaining>0</remaining></returnval>`,
	"ListProcessesInGuest": `<returnval><name>sh</name><pid>42</pid><owner>root</owner><cmdLine>sh -c 'a &amp; b'` +
		`</cmdLine><startTime>2026-01-01T00:00:00Z</startTime></returnval>`,
	"StartProgramInGuest":         `<returnval>43</returnval>`,
	"MakeDirectoryInGuest":        ``,
	"InitiateFileTransferToGuest": `<returnval>https://*:443/guestFile?id=1&amp;token=%s</returnval>`,
	"InitiateFileTransferFromGuest": `<returnval><attributes/><size>5</size>` +
		`<url>https://*:443/guestFile?id=1&amp;token=%s</url></returnval>`,
}

// serve answers a request for a guest. The token of a URL is the key of the session, as it is in the simulator.
func (m *machine) serve(method string, body []byte, w http.ResponseWriter, r *http.Request) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := ""
	for _, c := range r.Cookies() {
		key = strings.Trim(c.Value, `"`)
	}
	if method == "" {
		if r.URL.Path != "/guestFile" {
			return false
		}
		if token := r.URL.Query().Get("token"); token != key || key == "" {
			m.wrong = fmt.Sprintf("the token %q in the session %q", token, key)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if r.Method == http.MethodPut {
			content, err := io.ReadAll(r.Body)
			if err != nil {
				m.wrong = err.Error()
			}
			m.files["/tmp/a.txt"] = string(content)
			return true
		}
		_, _ = io.WriteString(w, m.files["/tmp/a.txt"]) // the client reports what is missing
		return true
	}
	answer, ok := guestAnswers[method]
	if !ok {
		return false
	}
	if !strings.Contains(string(body), "<username>root</username>") {
		m.wrong = fmt.Sprintf("%s without the user of the guest", method)
	}
	if strings.Contains(answer, "%") {
		answer = fmt.Sprintf(answer, key)
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	fmt.Fprintf(w, `%s<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" `+
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`+
		`<%[2]sResponse xmlns="urn:vim25">%[3]s</%[2]sResponse></soapenv:Body></soapenv:Envelope>`,
		xml.Header, method, answer)
	return true
}

func TestGovmomiWorksInAGuest(t *testing.T) {
	t.Parallel()
	for _, kind := range both {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s, m := newStage(t, kind, func(*settings.Config) {}), &machine{files: map[string]string{}}
			s.double.mu.Lock()
			s.double.intercept = m.serve
			s.double.mu.Unlock()
			c, err := s.connect(s.at.User, s.at.Password)
			must(t, err)
			vm := machines(t, c)[0]
			auth := &types.NamePasswordAuthentication{Username: "root", Password: "of the guest"}
			operations := guest.NewOperationsManager(c.Client, vm.Reference())
			files, err := operations.FileManager(t.Context())
			must(t, err)
			list, err := files.ListFiles(t.Context(), auth, "/tmp", 0, 10, "")
			must(t, err)
			if len(list.Files) != 1 || list.Files[0].Path != "a.txt" ||
				*list.Files[0].Attributes.(*types.GuestPosixFileAttributes).OwnerId != 7 {
				t.Errorf("files: %+v", list)
			}
			must(t, files.MakeDirectory(t.Context(), auth, "/tmp/b", false))
			processes, err := operations.ProcessManager(t.Context())
			must(t, err)
			running, err := processes.ListProcesses(t.Context(), auth, nil)
			if err != nil || len(running) != 1 || running[0].CmdLine != "sh -c 'a & b'" {
				t.Errorf("processes: %+v, %v", running, err)
			}
			pid, err := processes.StartProgram(t.Context(), auth, &types.GuestProgramSpec{ProgramPath: "/bin/true"})
			if err != nil || pid != 43 {
				t.Errorf("process %d, %v", pid, err)
			}
			const content = "hello"
			to, err := files.InitiateFileTransferToGuest(t.Context(), auth, "/tmp/a.txt",
				&types.GuestPosixFileAttributes{}, int64(len(content)), true)
			must(t, err)
			at, err := files.TransferURL(t.Context(), to)
			must(t, err)
			must(t, c.Upload(t.Context(), strings.NewReader(content), at, &soap.Upload{
				Method: http.MethodPut, ContentLength: int64(len(content)),
			}))
			from, err := files.InitiateFileTransferFromGuest(t.Context(), auth, "/tmp/a.txt")
			must(t, err)
			at, err = files.TransferURL(t.Context(), from.Url)
			must(t, err)
			if at.Host != s.at.Host {
				t.Errorf("the file is at %s", at)
			}
			got := download(t, c.Client.Client, at)
			if got != content {
				t.Errorf("the file has %q", got)
			}
			if m.wrong != "" {
				t.Error(m.wrong)
			}
		})
	}
}

func download(t *testing.T, c *soap.Client, at *url.URL) string {
	t.Helper()
	body, _, err := c.Download(t.Context(), at, &soap.DefaultDownload)
	must(t, err)
	content, err := io.ReadAll(body)
	must(t, err)
	must(t, body.Close())
	return string(content)
}
