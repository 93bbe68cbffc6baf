package session_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// vcenter is a server that behaves as vCenter 8.0 U1 does over VI JSON, as far as sessions go: it has no other
// objects than the API's, does not negotiate releases, and ends sessions in order, up to the first that it
// can't end.
type vcenter struct {
	*httptest.Server

	mu       sync.Mutex // guards what follows
	now      time.Time
	sessions []userSession
	tokens   map[string]string    // keys of sessions by token
	calls    []string             // each as "POST Type.Method body"
	refuses  map[string]string    // faults by the key of the session that can't be ended
	option   string               // the one that it has
	before   map[string]func(int) // called before an operation, with how often it was called, while mu is held
}

// userSession has the members of UserSession.
type userSession struct {
	TypeName         string    `json:"_typeName"`
	Key              string    `json:"key"`
	UserName         string    `json:"userName"`
	FullName         string    `json:"fullName"`
	LoginTime        time.Time `json:"loginTime"`
	LastActiveTime   time.Time `json:"lastActiveTime"`
	Locale           string    `json:"locale"`
	MessageLocale    string    `json:"messageLocale"`
	ExtensionSession bool      `json:"extensionSession"`
	IPAddress        string    `json:"ipAddress"`
	UserAgent        string    `json:"userAgent"`
	CallCount        int64     `json:"callCount"`
}

const (
	release  = "8.0.1.0"
	admin    = `VSPHERE.LOCAL\Administrator`
	password = "of the vCenter"
)

// startVCenter starts a vCenter with the sessions.
func startVCenter(t testing.TB, sessions ...userSession) *vcenter {
	t.Helper()
	v := &vcenter{
		now: began, sessions: sessions, tokens: map[string]string{}, refuses: map[string]string{},
		option: "none", before: map[string]func(int){},
	}
	v.Server = httptest.NewUnstartedServer(v)
	v.EnableHTTP2 = true
	v.StartTLS()
	t.Cleanup(v.Close)
	return v
}

// began is the time of the vCenter's clock. It has nothing to do with that of the command line.
var began = time.Date(2023, 4, 18, 12, 0, 0, 0, time.UTC)

// live returns a session that logged in age ago and made its last call idle ago.
func live(key, user, client, address string, age, idle time.Duration) userSession {
	return userSession{
		TypeName: "UserSession", Key: key, UserName: user, FullName: user, LoginTime: began.Add(-age),
		LastActiveTime: began.Add(-idle), Locale: "en", MessageLocale: "en", IPAddress: address, UserAgent: client,
		CallCount: int64(len(client)),
	}
}

func (v *vcenter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	part := strings.Split(strings.TrimPrefix(r.URL.Path, "/sdk/vim25/"+release+"/"), "/")
	if len(part) != 3 || part[0] == "" {
		// There is no hello in 8.0 U1, nor any other object.
		respond(w, http.StatusNotFound, `{"error_type":"NOT_FOUND","messages":[]}`)
		return
	}
	op := r.Method + " " + part[0] + "." + part[2]
	v.calls = append(v.calls, op+" "+string(body))
	if before := v.before[op]; before != nil {
		before(len(v.made(op)))
	}
	v.serve(w, op, v.tokens[r.Header.Get("vmware-api-session-id")], body)
}

func respond(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func fault(w http.ResponseWriter, name string) {
	respond(w, http.StatusInternalServerError, `{"_typeName":"`+name+`","faultstring":"It is `+name+`."}`)
}

func (v *vcenter) serve(w http.ResponseWriter, op, own string, body []byte) {
	at := slices.IndexFunc(v.sessions, func(s userSession) bool { return s.Key == own })
	switch {
	case op == "GET ServiceInstance.content":
		respond(w, http.StatusOK, content)
		return
	case op == "POST SessionManager.Login":
		v.login(w, body)
		return
	case at < 0 && op == "GET SessionManager.currentSession":
		w.WriteHeader(http.StatusNoContent)
		return
	case at < 0:
		fault(w, "NotAuthenticated")
		return
	}
	v.sessions[at].LastActiveTime = v.now
	v.sessions[at].CallCount++
	switch op {
	case "GET SessionManager.currentSession":
		write(w, v.sessions[at])
	case "GET SessionManager.sessionList":
		write(w, v.sessions)
	case "POST SessionManager.TerminateSession":
		v.terminate(w, own, body)
	case "POST OptionManager.QueryOptions":
		if !strings.Contains(string(body), v.option) {
			fault(w, "InvalidName")
			return
		}
		respond(w, http.StatusOK, maxSessions)
	default:
		respond(w, http.StatusNotFound, "")
	}
}

func write(w http.ResponseWriter, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	respond(w, http.StatusOK, string(text))
}

func (v *vcenter) login(w http.ResponseWriter, body []byte) {
	var in struct{ UserName, Password string }
	if json.Unmarshal(body, &in) != nil || in.Password != password {
		fault(w, "InvalidLogin")
		return
	}
	own := live(fmt.Sprintf("own-%d", len(v.tokens)), admin, "vigate/devel", "192.0.2.200", 0, 0)
	v.sessions = append(v.sessions, own)
	token := fmt.Sprintf("%040x", len(v.tokens)+1)
	v.tokens[token] = own.Key
	w.Header().Set("vmware-api-session-id", token)
	write(w, own)
}

func (v *vcenter) terminate(w http.ResponseWriter, own string, body []byte) {
	var in struct{ SessionID []string }
	if err := json.Unmarshal(body, &in); err != nil {
		fault(w, "InvalidRequest")
		return
	}
	for _, key := range in.SessionID {
		at := slices.IndexFunc(v.sessions, func(s userSession) bool { return s.Key == key })
		switch {
		case v.refuses[key] != "":
			fault(w, v.refuses[key])
			return
		case key == own:
			fault(w, "InvalidArgument")
			return
		case at < 0:
			fault(w, "NotFound")
			return
		}
		v.sessions = slices.Delete(v.sessions, at, at+1)
	}
	w.WriteHeader(http.StatusNoContent)
}

// drop ends sessions as their clients do. mu is held.
func (v *vcenter) drop(keys ...string) {
	v.sessions = slices.DeleteFunc(v.sessions, func(s userSession) bool { return slices.Contains(keys, s.Key) })
}

// made returns the calls of the operation. mu is held.
func (v *vcenter) made(op string) (found []string) {
	for _, c := range v.calls {
		if strings.HasPrefix(c, op+" ") {
			found = append(found, c)
		}
	}
	return found
}

// count returns how often the operation was called.
func (v *vcenter) count(op string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.made(op))
}

// keys returns the keys of the live sessions but those of the command line.
func (v *vcenter) keys() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []string
	for _, s := range v.sessions {
		if !strings.HasPrefix(s.Key, "own-") {
			all = append(all, s.Key)
		}
	}
	return strings.Join(all, " ")
}

const content = `{"_typeName":"ServiceContent",` +
	`"rootFolder":{"_typeName":"ManagedObjectReference","type":"Folder","value":"group-d1"},` +
	`"propertyCollector":{"_typeName":"ManagedObjectReference","type":"PropertyCollector",` +
	`"value":"propertyCollector"},` +
	`"sessionManager":{"_typeName":"ManagedObjectReference","type":"SessionManager","value":"SessionManager"},` +
	`"setting":{"_typeName":"ManagedObjectReference","type":"OptionManager","value":"VpxSettings"},` +
	`"about":{"_typeName":"AboutInfo","name":"VMware vCenter Server","fullName":"VMware vCenter Server 8.0.1",` +
	`"vendor":"VMware, Inc.","version":"8.0.1","build":"21560480","osType":"linux-x64","productLineId":"vpx",` +
	`"apiType":"VirtualCenter","apiVersion":"8.0.1.0"}}`

// limitOption is a vCenter's limit of sessions, and maxSessions the answer about it.
const (
	limitOption = "config.vmacore.soap.maxSessionCount"
	maxSessions = `[{"_typeName":"OptionValue","key":"` + limitOption + `",` +
		`"value":{"_typeName":"int","_value":2000}}]`
)
