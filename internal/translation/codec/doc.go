// Package codec translates values of the vSphere API between VI JSON and the XML of SOAP, token by
// token, by the schema of the API. It makes no Go values of the API's types: the library's types
// can't hold everything that the two formats can, such as an empty text where the type allows none,
// or a type of a server that is newer than the library.
//
// [Codec.Request] turns the JSON arguments of a method into the elements of its request. The sender
// is a stranger, so everything is checked against the schema: unknown members and types are refused,
// and members are put into the order that SOAP requires. [Reader] turns the envelope of an answer into
// JSON while it arrives. The sender is the server behind, which may be newer than the schema: members
// and types that the schema does not have are carried with their names.
//
// The two formats differ in what they can say. SOAP has no empty list: a list is as many elements as
// it has items. So an empty list of a required member is [] in JSON, and an empty list of an optional
// one is left out.
package codec
