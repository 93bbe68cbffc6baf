package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// operationHeader is the header with the id of a request that is no call. It passes the front as other headers do.
const operationHeader = "X-Test-Operation"

// rest is a request of the Automation API. The token may be that of another session of the member's user.
type rest struct{ method, path, token, user, password, body string }

// ask sends a request without cookies.
func (m *member) ask(ctx context.Context, q rest) (status int, answer string, err error) {
	r, err := http.NewRequestWithContext(ctx, q.method, "https://"+m.at.Host+q.path, strings.NewReader(q.body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(operationHeader, fmt.Sprint(ctx.Value(types.ID{})))
	if q.token != "" {
		r.Header.Set("vmware-api-session-id", q.token)
	}
	if q.user != "" {
		r.SetBasicAuth(q.user, q.password)
	}
	a, err := m.Client.Client.Client.Transport.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = a.Body.Close() }()
	answer, err = text(a)
	return a.StatusCode, answer, err
}

// askFor sends a request with the member's token, and reads the answer, whose status must be 200.
func (m *member) askFor(ctx context.Context, q rest, value any) error {
	q.token = m.token
	status, answer, err := m.ask(ctx, q)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	if err == nil && value != nil {
		err = json.Unmarshal([]byte(answer), value)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", q.method, q.path, err, answer)
	}
	return nil
}

// readPolicies reads what is the same for everybody.
func (m *member) readPolicies(ctx context.Context) error {
	var all []struct{ Policy, Name string }
	if err := m.askFor(ctx, rest{method: http.MethodGet, path: "/api/content/security-policies"}, &all); err != nil {
		return err
	}
	if len(all) == 0 || all[0].Policy == "" || all[0].Name == "" {
		return fmt.Errorf("the policies are %+v", all)
	}
	return nil
}

// useTags makes a category of the member's own, reads it and deletes it.
func (m *member) useTags(ctx context.Context) error {
	const path = "/rest/com/vmware/cis/tagging/category"
	type category struct {
		Name        string   `json:"name"`
		Description string   `json:"description"`
		Cardinality string   `json:"cardinality"`
		Types       []string `json:"associable_types"`
	}
	mine := category{fmt.Sprintf("member %d, call %d", m.number, m.call), "of " + m.name, "SINGLE", []string{}}
	body, err := json.Marshal(map[string]category{"create_spec": mine})
	if err != nil {
		return err
	}
	var made struct{ Value string }
	if err := m.askFor(ctx, rest{method: http.MethodPost, path: path, body: string(body)}, &made); err != nil {
		return err
	}
	one := path + "/id:" + made.Value
	var got struct{ Value category }
	return errors.Join(
		m.askFor(ctx, rest{method: http.MethodGet, path: one}, &got),
		differs("the category", got.Value.Name+" "+got.Value.Description, mine.Name+" "+mine.Description),
		m.askFor(ctx, rest{method: http.MethodDelete, path: one}, nil),
	)
}

// useRPC calls the upstream and the front as the SDKs in Python and Java do, with the session in the body.
func (m *member) useRPC(ctx context.Context) error {
	id := fmt.Sprintf("%d-%d", m.number, m.call)
	call := func(service, operation string, value any) error {
		return m.askFor(ctx, rest{method: http.MethodPost, path: "/api", body: fmt.Sprintf(
			`{"jsonrpc":"2.0","method":"invoke","id":%q,"params":{"ctx":{"appCtx":{},"securityCtx":{"schemeId":`+
				`"com.vmware.vapi.std.security.session_id","sessionId":%q}},"input":{"STRUCTURE":{"operation-input":`+
				`{}}},"serviceId":%q,"operationId":%q}}`, id, m.token, service, operation)}, value)
	}
	var passed struct{ ID string }
	var session struct {
		ID     string
		Result struct {
			Output struct {
				STRUCTURE map[string]struct{ User string }
			}
		}
	}
	err := errors.Join(call("com.vmware.vcenter.VM", "list", &passed), call("com.vmware.cis.session", "get", &session))
	user := session.Result.Output.STRUCTURE["com.vmware.cis.session.info"].User
	return errors.Join(err, differs("the ids", passed.ID+" "+session.ID, id+" "+id),
		differs("the user", strings.ToLower(user), strings.ToLower(m.name)))
}

// useREST logs in to the Automation API alone, calls the upstream, and logs out.
func (m *member) useREST(ctx context.Context) error {
	m.logins <- struct{}{}
	defer func() { <-m.logins }()
	u := principalOf(m.number)
	login := rest{method: http.MethodPost, path: "/api/session", user: u.Name, password: u.Password.Reveal()}
	status, answer, err := m.ask(ctx, login)
	var token string
	if err := errors.Join(err, json.Unmarshal([]byte(answer), &token)); err != nil || status != http.StatusCreated {
		return fmt.Errorf("log in: status %d, %w: %s", status, err, answer)
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/api/session", http.StatusOK},
		{http.MethodPost, "/rest/com/vmware/cis/session?~action=get", http.StatusOK},
		{http.MethodGet, "/api/content/security-policies", http.StatusOK},
		{http.MethodDelete, "/api/session", http.StatusNoContent},
		{http.MethodGet, "/api/session", http.StatusUnauthorized},
		{http.MethodGet, "/api/content/security-policies", http.StatusUnauthorized},
	} {
		status, answer, err := m.ask(ctx, rest{method: c.method, path: c.path, token: token})
		if err != nil || status != c.want {
			return fmt.Errorf("%s %s: status %d, %w: %s", c.method, c.path, status, err, answer)
		}
		about := strings.Contains(c.path, "session") && status == http.StatusOK
		if about && !strings.Contains(strings.ToLower(answer), `"user":"`+strings.ToLower(m.name)+`"`) {
			return fmt.Errorf("the session is %s, not that of %s", answer, m.name)
		}
	}
	return nil
}

// intrudeREST asks for something by the id of an object of another member.
func (m *member) intrudeREST(ctx context.Context, object types.ManagedObjectReference) error {
	for _, q := range []rest{
		{method: http.MethodGet, path: "/rest/com/vmware/cis/tagging/category/id:" + url.PathEscape(object.Value)},
		{method: http.MethodGet, path: "/api/content/security-policies?id=" + url.QueryEscape(object.Value)},
		{method: http.MethodPost, path: "/rest/com/vmware/cis/tagging/category",
			body: `{"create_spec":{"name":"` + object.Value + `"}}`},
	} {
		q.token = m.token
		status, answer, err := m.ask(ctx, q)
		if err != nil || status != http.StatusNotFound {
			return fmt.Errorf("%s of another: %s %s: status %d, %w: %s", object, q.method, q.path, status, err, answer)
		}
	}
	return nil
}
