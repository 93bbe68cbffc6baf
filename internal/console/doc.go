// Package console serves pages for browsers below /ui/, on the server itself and on each front. It is a binding: it
// makes calls to the API, as the other bindings do, and shows the results as HTML. A login at the console is the
// operation Login, so it passes the same gate and leaves the same events and audit lines.
//
// # Sections
//
// A [Section] is an entry of the navigation with its pages. To add one, write a package whose function returns a
// Section, and add it to the list in internal/serve/console.go:
//
//   - Title is the key of a text. Texts are in package locale, in all of its languages.
//   - Needs names a row of the API. The section is in the navigation if the caller may use that row. A page decides
//     in the same way which actions it offers, with [Request.May].
//   - Pages are functions by the pattern of their path. A page reads properties with [Get], or long lists with
//     [Open], makes calls with [Request.Do], and ends with [Request.Page] or [Request.Redirect]. It returns each
//     error: the fault of a call becomes a page with the fault's text, or the page for the login.
//   - Templates come from package page. They get a page.Data, whose Body is what the page passed to Request.Page.
//
// The console does the work that all pages have in common. It finds the session of the cookie. A page counts as one
// call of this session, however much the page reads. It refuses requests of other origins, and POST requests without
// the token of the session's forms, which a form must contain as the hidden field "token". It bounds bodies, and sets
// the headers, of which the Content-Security-Policy allows no style or script in the page itself.
//
// # Cookie
//
// The cookie is the console's own, see [Console.CookieName]. Its value is the token of a session, as in the other
// bindings. But the other bindings ignore this cookie, and the console ignores all others.
package console
