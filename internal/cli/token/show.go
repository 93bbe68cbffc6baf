package token

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
)

// facts are what a token says. Nothing of it is verified.
type facts struct {
	XMLName    xml.Name    `xml:"urn:oasis:names:tc:SAML:2.0:assertion Assertion" json:"-"`
	ID         string      `xml:",attr" json:"id"`
	Issued     time.Time   `xml:"IssueInstant,attr" json:"issued"`
	Issuer     string      `json:"issuer"`
	Subject    subject     `json:"subject"`
	Conditions conditions  `json:"conditions"`
	Attributes []attribute `xml:"AttributeStatement>Attribute" json:"attributes,omitempty"`
}

// The types have names because the encoder writes them.
type subject struct {
	NameID       string       `json:"name"`
	Confirmation confirmation `xml:"SubjectConfirmation" json:"confirmation"`
}

type confirmation struct {
	Method string `xml:",attr" json:"method"`
	NameID string `json:"holder,omitempty"`
}

type conditions struct {
	NotBefore    time.Time     `xml:",attr" json:"notBefore"`
	NotOnOrAfter time.Time     `xml:",attr" json:"notOnOrAfter"`
	Proxy        restriction   `xml:"ProxyRestriction" json:"delegations"`
	Conditions   []restriction `xml:"Condition" json:"conditions,omitempty"`
}

type restriction struct {
	Type  string `xml:"type,attr" json:"type,omitempty"`
	Count string `xml:",attr" json:"count,omitempty"`
}

type attribute struct {
	Name   string   `xml:"FriendlyName,attr" json:"name"`
	Values []string `xml:"AttributeValue" json:"values"`
}

func show(set *command.Set) *cobra.Command {
	cmd := set.Local("show FILE", "Print the contents of the token in FILE, without verifying it", cobra.ExactArgs(1),
		func(_ context.Context, r *command.Run) error {
			text, err := r.Read("token", r.Args[0])
			if err != nil {
				return err
			}
			f, err := parse(text)
			if err != nil {
				return err
			}
			return r.Out.Show(f, func() *command.Table { return f.table(r.Now()) })
		})
	cmd.Long = cmd.Short + `,
- for standard input. No server is contacted. The output proves nothing, because
anybody can write such a file.`
	return cmd
}

// parse reads a token. Its errors contain nothing of the token.
func parse(text string) (*facts, error) {
	f := &facts{}
	if err := xml.Unmarshal([]byte(strings.TrimSpace(text)), f); err != nil {
		return nil, errors.New("read token: the file is not a SAML 2.0 assertion")
	}
	return f, nil
}

func (f *facts) table(now time.Time) *command.Table {
	t := &command.Table{}
	kind := "bearer: can be used once, by everybody who has it"
	if strings.HasSuffix(f.Subject.Confirmation.Method, ":holder-of-key") {
		kind = "holder of key: needs its private key"
	}
	end := command.Moment(f.Conditions.NotOnOrAfter)
	if !now.Before(f.Conditions.NotOnOrAfter) {
		end += " (expired)"
	}
	renewals := "0"
	for _, c := range f.Conditions.Conditions {
		if strings.HasSuffix(c.Type, "RenewRestrictionType") {
			renewals = c.Count
		}
	}
	t.Add("Verified:", "no")
	t.Add("Subject:", f.Subject.NameID)
	if holder := f.Subject.Confirmation.NameID; holder != "" {
		t.Add("Held by:", holder)
	}
	t.Add("Kind:", kind)
	t.Add("Issuer:", f.Issuer)
	t.Add("Issued:", command.Moment(f.Issued))
	t.Add("Valid from:", command.Moment(f.Conditions.NotBefore))
	t.Add("Valid until:", end)
	t.Add("Renewals left:", renewals)
	t.Add("Delegations left:", f.Conditions.Proxy.Count)
	for _, a := range f.Attributes {
		values := strings.Join(a.Values, ", ")
		if len(a.Values) > maxShown {
			values = strings.Join(a.Values[:maxShown], ", ") + fmt.Sprintf(" and %s more",
				strconv.Itoa(len(a.Values)-maxShown))
		}
		t.Add(a.Name+":", values)
	}
	return t
}

// maxShown is how many values of an attribute are shown.
const maxShown = 20
