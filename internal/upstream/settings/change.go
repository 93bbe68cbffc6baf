package settings

import "slices"

// Fixed returns the first key that differs in o and can't change while the server runs, or "".
func (c *Config) Fixed(o Config) string {
	for _, k := range []struct {
		key  string
		same bool
	}{
		{"url", c.URL == o.URL}, {"ca", c.CA == o.CA}, {"thumbprint", c.Thumbprint == o.Thumbprint},
		{"insecure", c.Insecure == o.Insecure}, {"listen", c.Listen == o.Listen},
		{"plain-http", c.PlainHTTP == o.PlainHTTP}, {"tls-cert", c.TLSCert == o.TLSCert},
		{"tls-key", c.TLSKey == o.TLSKey}, {"mode", c.Mode == o.Mode},
		{"pass-through", c.PassThrough == o.PassThrough}, {"paths", slices.Equal(c.Paths, o.Paths)},
		{"dispense", slices.EqualFunc(c.Dispense, o.Dispense, sameDispenser)},
	} {
		if !k.same {
			return k.key
		}
	}
	return ""
}

// sameDispenser reports whether two dispensers do the same, wherever they are in the file.
func sameDispenser(a, b Dispense) bool {
	return a.Account == b.Account && a.Path == b.Path && slices.Equal(a.Subjects, b.Subjects) &&
		a.TokensFile == b.TokensFile && a.PerMinute == b.PerMinute && a.Target == b.Target
}
