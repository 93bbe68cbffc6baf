// Package method says what is special about some methods of the API, for calls that pass through a front:
// which of them make, use and end objects that belong to sessions, which wait, and which only read.
//
// It is a table. A method that is not in it is passed on like any other, so the gateway serves methods that are
// newer than itself.
package method

import (
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// Method is what a front knows of a method of the API. Of most methods it knows nothing.
type Method struct {
	// Makes is the type of the object of a session that the method returns. It may be a base type.
	Makes string
	// Collector means that the method works on the filters of a collector. A client that calls it on the
	// collector that all clients know gets one of its own.
	Collector bool
	// Retrieves means that the method reads properties at once, so that any collector will do.
	Retrieves bool
	// Resumes means that the method names a retrieval that is not finished.
	Resumes bool
	// Waits means that the method may wait for a long time.
	Waits bool
	// Destroys means that the object that is called ends with the call.
	Destroys bool
	// Ticket means that the method returns a ticket for the console of a machine, with the server that serves it.
	Ticket bool
	// Session means that the member "sessionId" is the key of a session that the server looks up. Everywhere
	// else the client's key is a text like any other: the upstream's key in its place would be stored there
	// for others to read.
	Session bool
	// Quiet means that the method changes nothing but objects of the session, so it is not audited.
	Quiet bool
}

// The types of objects with a meaning here. A Token is no object of the API: it is the rest of a retrieval,
// which the upstream keeps for its collector.
const (
	Collector = "PropertyCollector"
	Filter    = "PropertyFilter"
	Token     = "RetrieveToken"
)

// Of returns what is known of a method.
func Of(name string) Method { return Names[name] }

// Names are the methods that make, use and end objects of sessions.
var Names = map[string]Method{
	"CreateFilter":                 {Makes: Filter, Collector: true, Quiet: true},
	"CheckForUpdates":              {Collector: true, Quiet: true},
	"WaitForUpdates":               {Collector: true, Waits: true, Quiet: true},
	"WaitForUpdatesEx":             {Collector: true, Waits: true, Quiet: true},
	"CancelWaitForUpdates":         {Collector: true, Quiet: true},
	"CreatePropertyCollector":      {Makes: Collector, Quiet: true},
	"DestroyPropertyCollector":     {Collector: true, Destroys: true, Quiet: true},
	"DestroyPropertyFilter":        {Destroys: true, Quiet: true},
	"RetrieveProperties":           {Retrieves: true, Quiet: true},
	"RetrievePropertiesEx":         {Retrieves: true, Quiet: true},
	"ContinueRetrievePropertiesEx": {Resumes: true, Quiet: true},
	"CancelRetrievePropertiesEx":   {Resumes: true, Quiet: true},

	"CreateContainerView":      {Makes: "ContainerView", Quiet: true},
	"CreateListView":           {Makes: "ListView", Quiet: true},
	"CreateListViewFromView":   {Makes: "ListView", Quiet: true},
	"CreateInventoryView":      {Makes: "InventoryView", Quiet: true},
	"ModifyListView":           {Quiet: true},
	"ResetListView":            {Quiet: true},
	"ResetListViewFromView":    {Quiet: true},
	"OpenInventoryViewFolder":  {Quiet: true},
	"CloseInventoryViewFolder": {Quiet: true},
	"DestroyView":              {Destroys: true, Quiet: true},

	"CreateCollectorForEvents":              {Makes: "EventHistoryCollector", Quiet: true},
	"CreateCollectorForTasks":               {Makes: "TaskHistoryCollector", Quiet: true},
	"CreateCollectorWithInfoFilterForTasks": {Makes: "TaskHistoryCollector", Quiet: true},
	"SetCollectorPageSize":                  {Quiet: true},
	"ResetCollector":                        {Quiet: true},
	"RewindCollector":                       {Quiet: true},
	"ReadNextEvents":                        {Quiet: true},
	"ReadPreviousEvents":                    {Quiet: true},
	"ReadNextTasks":                         {Quiet: true},
	"ReadPreviousTasks":                     {Quiet: true},
	"DestroyCollector":                      {Destroys: true, Quiet: true},

	"AcquireTicket":    {Ticket: true},
	"AcquireMksTicket": {Ticket: true},

	"HasPrivilegeOnEntities": {Session: true},
	"HasPrivilegeOnEntity":   {Session: true},

	"ImportVApp":           {Makes: "HttpNfcLease"},
	"ExportVm":             {Makes: "HttpNfcLease"},
	"ExportVApp":           {Makes: "HttpNfcLease"},
	"ExportSnapshot":       {Makes: "HttpNfcLease"},
	"HttpNfcLeaseProgress": {Quiet: true},
	"HttpNfcLeaseComplete": {Destroys: true},
	"HttpNfcLeaseAbort":    {Destroys: true},
}

// Ends has the method that ends an object of a type.
var Ends = map[string]string{
	Filter: "DestroyPropertyFilter", Collector: "DestroyPropertyCollector",
	Token:           "CancelRetrievePropertiesEx",
	"ContainerView": "DestroyView", "ListView": "DestroyView", "InventoryView": "DestroyView",
	"EventHistoryCollector": "DestroyCollector", "TaskHistoryCollector": "DestroyCollector",
	"HttpNfcLease": "HttpNfcLeaseAbort",
}

// Manager are the methods of SessionManager. The names of methods are unique in the API, so such a call is for
// SessionManager whatever object it names.
var Manager = map[string]bool{
	"AcquireCloneTicket": true, "AcquireGenericServiceTicket": true, "AcquireLocalTicket": true,
	"CloneSession": true, "ImpersonateUser": true, "Login": true, "LoginBySSPI": true, "LoginByToken": true,
	"LoginExtension": true, "LoginExtensionByCertificate": true, "LoginExtensionBySubjectName": true,
	"Logout": true, "SessionIsActive": true, "SetLocale": true, "TerminateSession": true,
	"UpdateServiceMessage": true,
}

// Label returns the name of a method for metrics: names that are not the API's are the same there.
func Label(name string) string {
	_, known := knows(strings.TrimSuffix(name, "_Task") + "RequestType")
	if known || name == "Fetch" || name == "CurrentTime" {
		return name
	}
	return "other"
}

// knows finds the types of the API by their names.
var knows = types.TypeFunc()

// readers are the beginnings of names of methods that only read.
var readers = []string{"Retrieve", "Query", "Find", "Get", "List", "Fetch", "Has", "Lookup", "Is", "Current", "Browse"}

// OnlyReads reports whether a call of the method changes nothing, so that it may be made twice.
func OnlyReads(name string) bool {
	if strings.HasSuffix(name, "_Task") {
		return false
	}
	for _, r := range readers {
		if rest, ok := strings.CutPrefix(name, r); ok && (rest == "" || rest[0] < 'a' || rest[0] > 'z') {
			return true
		}
	}
	return false
}
