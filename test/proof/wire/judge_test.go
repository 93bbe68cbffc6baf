package wire

import (
	"net/http"
	"strings"
	"testing"
)

func TestTheReasonForA503IsFoundInTheAnswersOfBothBindings(t *testing.T) {
	const envelope = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" ` +
		`xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ` +
		`xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` + "\n" +
		`<soapenv:Body>` + "\n" +
		`<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>TEXT</faultstring></soapenv:Fault>` + "\n" +
		`</soapenv:Body></soapenv:Envelope>`
	for text, want := range map[string]Outcome{
		"It could not be found out whether the change was made. Check its result before you try again.": Unsure,
		"The user has reached the limit of sessions: 40 of at most 40 are live.":                        Full,
		"The server has reached its limit of sessions: 120 of at most 120 are live.":                    Full,
		"The service cannot be reached or cannot be changed at present. Try again later.":               Busy,
	} {
		for binding, body := range map[string]string{"VI JSON": `{"faultstring":"TEXT"}`, "SOAP": envelope} {
			r := reply{
				status: http.StatusServiceUnavailable, header: http.Header{},
				body: []byte(strings.Replace(body, "TEXT", text, 1)),
			}
			got := r.judgeSOAP()
			if got.Outcome != want {
				t.Errorf("over %s %q is %v, want %v", binding, text, got.Outcome, want)
			}
			if ofUser := strings.Contains(text, "The user has"); got.PerUser != ofUser {
				t.Errorf("over %s %q is of a user's limit: %v", binding, text, got.PerUser)
			}
		}
	}
}
