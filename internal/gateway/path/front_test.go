package path_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/lookup"
	lookuptypes "github.com/vmware/govmomi/lookup/types"
	"github.com/vmware/govmomi/pbm"
	pbmtypes "github.com/vmware/govmomi/pbm/types"
	"github.com/vmware/govmomi/vapi/library"
	"github.com/vmware/govmomi/vapi/tags"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func (s *scene) finder(c *govmomi.Client) *find.Finder {
	s.t.Helper()
	f := find.NewFinder(c.Client)
	dc, err := f.DefaultDatacenter(s.t.Context())
	s.must(err)
	return f.SetDatacenter(dc)
}

func read(t *testing.T, r io.ReadCloser, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFilesOfDatastoresPassBothWaysAlsoAfterALoss(t *testing.T) {
	s := stage(t)
	c := s.login()
	ds, err := s.finder(c).DefaultDatastore(t.Context())
	s.must(err)
	big := bytes.Repeat([]byte("all work and no play\n"), 200_000)
	for _, lost := range []bool{false, true} {
		if lost {
			s.endAll()
		}
		for _, content := range []string{"small", string(big)} {
			name := fmt.Sprintf("file-%d.txt", len(content))
			s.must(ds.Upload(t.Context(), strings.NewReader(content), name, nil))
			r, size, err := ds.Download(t.Context(), name, nil)
			if got := read(t, r, err); got != content || size != int64(len(content)) {
				t.Errorf("%s came back with %d bytes, announced %d", name, len(got), size)
			}
		}
	}
	if status, _ := s.get(c, "/folder/none?dsName=LocalDS_0"); status != http.StatusNotFound {
		t.Errorf("a file that is not there: %d", status)
	}
}

func TestAVirtualMachineIsImportedThroughTheFront(t *testing.T) {
	s := stage(t)
	c := s.login()
	f := s.finder(c)
	pool, err := f.ResourcePool(t.Context(), "DC0_H0/Resources")
	s.must(err)
	folder, err := f.FolderOrDefault(t.Context(), "vm")
	s.must(err)
	ds, err := f.DefaultDatastore(t.Context())
	s.must(err)
	disk := &types.VirtualDisk{VirtualDevice: types.VirtualDevice{
		Key: -1, ControllerKey: -2, UnitNumber: types.NewInt32(0),
		Backing: &types.VirtualDiskFlatVer2BackingInfo{
			VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: "disk.vmdk"},
		},
	}, CapacityInKB: 1024}
	spec := &types.VirtualMachineImportSpec{ConfigSpec: types.VirtualMachineConfigSpec{
		Name: "imported", GuestId: "otherGuest",
		Files: &types.VirtualMachineFileInfo{VmPathName: "[" + ds.Name() + "]"},
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{
			&types.VirtualDeviceConfigSpec{
				Operation: types.VirtualDeviceConfigSpecOperationAdd,
				Device: &types.VirtualLsiLogicController{VirtualSCSIController: types.VirtualSCSIController{
					SharedBus: types.VirtualSCSISharingNoSharing, VirtualController: types.VirtualController{
						VirtualDevice: types.VirtualDevice{Key: -2},
					},
				}},
			},
			&types.VirtualDeviceConfigSpec{
				Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: disk,
				FileOperation: types.VirtualDeviceConfigSpecFileOperationCreate,
			},
		},
	}}
	lease, err := pool.ImportVApp(t.Context(), spec, folder, nil)
	s.must(err)
	info, err := lease.Wait(t.Context(), []types.OvfFileItem{{DeviceId: "disk.vmdk", Path: "disk.vmdk", Size: 5}})
	s.must(err)
	if len(info.DeviceUrl) == 0 {
		t.Fatal("the lease has no files")
	}
	for _, device := range info.DeviceUrl {
		u, err := url.Parse(device.Url)
		s.must(err)
		if "http://"+u.Host != s.front.URL || !strings.HasPrefix(u.Path, "/nfc/"+lease.Reference().Value+"/") {
			t.Errorf("the lease has the URL %s", device.Url)
		}
		s.must(c.Client.Client.Upload(t.Context(), strings.NewReader("bytes"), u, &soap.Upload{
			ContentLength: 5, Method: http.MethodPost, Type: "application/x-vnd.vmware-streamVmdk",
		}))
	}
	manifest, err := lease.GetManifest(t.Context())
	s.must(err)
	if len(manifest) == 0 || manifest[0].Size != 5 {
		t.Errorf("the upstream has got %+v", manifest)
	}
	s.must(lease.Complete(t.Context()))
	s.note()

	// Another client can't use the lease of this one.
	other := s.login()
	target := strings.TrimPrefix(info.DeviceUrl[0].Url, s.front.URL)
	if status, _ := s.get(other, target); status != http.StatusNotFound {
		t.Errorf("another client got %d", status)
	}
}

func TestTagsAndLibrariesPassAlsoAfterALoss(t *testing.T) {
	s := stage(t)
	c := s.login()
	r := s.automation(c)
	m := tags.NewManager(r)
	id, err := m.CreateCategory(t.Context(), &tags.Category{Name: "env", Cardinality: "SINGLE"})
	s.must(err)
	_, err = m.CreateTag(t.Context(), &tags.Tag{Name: "prod", CategoryID: id})
	s.must(err)
	s.endAll()
	s.loseAutomation()
	all, err := m.ListTags(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("tags after the loss: %v, %v", all, err)
	}
	s.library(c, library.NewManager(r))
	s.must(r.Logout(t.Context()))
	if got, err := r.Session(t.Context()); err != nil || got != nil {
		t.Errorf("after the logout: %v, %v", got, err)
	}
}

// loseAutomation ends the upstream's sessions of the Automation API, as time would.
func (s *scene) loseAutomation() {
	s.t.Helper()
	for _, key := range s.note() {
		r, err := http.NewRequest(http.MethodDelete, "http://"+s.upstream.URL.Host+"/rest/com/vmware/cis/session", nil)
		s.must(err)
		r.Header.Set("vmware-api-session-id", key)
		res, err := http.DefaultTransport.RoundTrip(r)
		s.must(err)
		s.must(res.Body.Close())
	}
}

func (s *scene) library(c *govmomi.Client, m *library.Manager) {
	s.t.Helper()
	ctx := s.t.Context()
	ds, err := s.finder(c).DefaultDatastore(ctx)
	s.must(err)
	published := true
	id, err := m.CreateLibrary(ctx, library.Library{
		Name: "images", Type: "LOCAL",
		Storage:     []library.StorageBacking{{DatastoreID: ds.Reference().Value, Type: "DATASTORE"}},
		Publication: &library.Publication{Published: &published},
	})
	s.must(err)
	lib, err := m.GetLibraryByID(ctx, id)
	s.must(err)
	if got := lib.Publication.PublishURL; !strings.HasPrefix(got, s.front.URL+"/cls/") {
		s.t.Errorf("the library is published at %s", got)
	}
	item, err := m.CreateLibraryItem(ctx, library.Item{Name: "image", Type: "iso", LibraryID: id})
	s.must(err)
	update, err := m.CreateLibraryItemUpdateSession(ctx, library.Session{LibraryItemID: item})
	s.must(err)
	file := filepath.Join(s.t.TempDir(), "image.iso")
	content := strings.Repeat("image", 1_000)
	s.must(os.WriteFile(file, []byte(content), 0o600))
	target, err := m.AddLibraryItemFile(ctx, update, library.UpdateFile{
		Name: "image.iso", SourceType: "PUSH", Size: int64(len(content)),
	})
	s.must(err)
	if got := target.UploadEndpoint.URI; !strings.HasPrefix(got, s.front.URL+"/rest/") {
		s.t.Errorf("the file is uploaded to %s", got)
	}
	u, err := url.Parse(target.UploadEndpoint.URI)
	s.must(err)
	s.must(m.Upload(ctx, strings.NewReader(content), u, &soap.Upload{
		ContentLength: int64(len(content)), Type: "application/octet-stream", Method: http.MethodPut,
	}))
	s.must(m.CompleteLibraryItemUpdateSession(ctx, update))
	s.download(ctx, m, item, content)
}

func (s *scene) download(ctx context.Context, m *library.Manager, item, want string) {
	s.t.Helper()
	id, err := m.CreateLibraryItemDownloadSession(ctx, library.Session{LibraryItemID: item})
	s.must(err)
	file, err := m.PrepareLibraryItemDownloadSessionFile(ctx, id, "image.iso")
	s.must(err)
	u, err := url.Parse(file.DownloadEndpoint.URI)
	s.must(err)
	if "http://"+u.Host != s.front.URL {
		s.t.Errorf("the file is downloaded from %s", u)
	}
	r, _, err := m.Download(ctx, u, &soap.DefaultDownload)
	if got := read(s.t, r, err); got != want {
		s.t.Errorf("the file came back with %d bytes of %d", len(got), len(want))
	}
}

func TestServicesBesideTheSDKPass(t *testing.T) {
	s := stage(t)
	c := s.login()
	for _, lost := range []bool{false, true} {
		if lost {
			s.endAll()
		}
		p, err := pbm.NewClient(t.Context(), c.Client)
		s.must(err)
		p.Transport = recording{s, p.DefaultTransport()}
		ids, err := p.QueryProfile(t.Context(), pbmtypes.PbmProfileResourceType{ResourceType: "STORAGE"}, "")
		if err != nil || len(ids) == 0 {
			t.Errorf("profiles: %v, %v", ids, err)
		}
	}
	anonymous, err := http.Get(s.front.URL + "/sdk/vimServiceVersions.xml")
	s.must(err)
	got := read(t, anonymous.Body, nil)
	if anonymous.StatusCode != http.StatusOK || !strings.Contains(got, "urn:vim25") {
		t.Errorf("the versions: %s %s", anonymous.Status, got)
	}
	l, err := lookup.NewClient(t.Context(), c.Client)
	s.must(err)
	// It also names services that the front does not serve, at the upstream's own URLs.
	services, err := l.List(t.Context(), &lookuptypes.LookupServiceRegistrationFilter{})
	s.must(err)
	found := false
	for _, info := range services {
		for _, e := range info.ServiceEndpoints {
			found = found || strings.HasPrefix(e.Url, s.front.URL+"/sts/STSService")
		}
	}
	if !found {
		t.Errorf("the lookup service does not lead to the token service of the front: %+v", services)
	}
}
