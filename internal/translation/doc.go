// Package translation serves the whole vSphere API as VI JSON for a server that speaks only SOAP. A
// request below /sdk/vim25/{release}/ becomes a message of SOAP, which a [Front] forwards, and the answer
// becomes JSON while it arrives.
//
// [New] returns the binding.Elsewhere for package vijson, which has read the line and the headers of the request by
// then. A method is called with POST. A property is read with GET, by a retrieval of one path. The table of the
// managed types (table.txt) is generated from the source of govmomi. Package codec has the data types.
package translation
