package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/upstream/settings"
)

// frontName is the name of the front and of its upstream.
const frontName = "lab"

// reading are the methods of the account for users who may only read. They make what a client needs for
// reading: views, filters and collectors, which belong to its session.
var reading = []string{
	"Retrieve*", "ContinueRetrieve*", "CancelRetrieve*", "Fetch*", "Find*", "Query*", "Has*", "CurrentTime",
	"CreatePropertyCollector", "DestroyPropertyCollector", "CreateFilter", "DestroyPropertyFilter",
	"WaitForUpdates*", "CheckForUpdates", "CancelWaitForUpdates",
	"Create*View", "DestroyView", "ModifyListView", "ResetListView*", "*InventoryViewFolder",
	"CreateCollectorFor*", "DestroyCollector", "ReadNext*", "ReadPrevious*", "ResetCollector", "RewindCollector",
	"SetCollectorPageSize",
}

// upstreams returns the configuration of the front. dir is a directory for the password of the simulator, and own is
// the address of the server itself.
//
// The simulator knows no privileges. So those with the role Admin may do everything, and all others may call the
// methods that read.
func (i *Inventory) upstreams(dir, own string, o Options) ([]settings.Config, error) {
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(i.Password.Reveal()), 0o600); err != nil {
		return nil, fmt.Errorf("write password: %w", err)
	}
	admins, readers := []string{Administrator}, []string{}
	for _, u := range o.Users {
		if u.Role == "Admin" {
			admins = append(admins, u.Name)
		} else {
			readers = append(readers, u.Name)
		}
	}
	front := map[string]any{
		"name": frontName, "url": i.URL.String(), "thumbprint": i.Thumbprint,
		"accounts": []any{
			map[string]any{"name": "admin", "username": i.User, "password-file": file, "for": admins},
			map[string]any{
				"name": "reader", "username": i.User, "password-file": file, "for": readers, "methods": reading,
			},
		},
	}
	if o.FrontListen == "" && o.FrontPlainHTTP == "" {
		o.FrontListen = "127.0.0.1:0"
	}
	for key, addr := range map[string]string{"listen": o.FrontListen, "plain-http": o.FrontPlainHTTP} {
		if addr != "" {
			front[key] = addr
		}
	}
	// JSON is YAML, too.
	text, err := json.Marshal(map[string]any{"dev": true, "listen": own, "upstreams": []any{front}})
	if err != nil {
		return nil, err
	}
	var all []settings.Config
	if _, err := config.Load("", text, nil, settings.Section("", &all)); err != nil {
		return nil, fmt.Errorf("configure front: %w", err)
	}
	if o.Front != nil {
		o.Front(&all[0])
	}
	return all, nil
}
