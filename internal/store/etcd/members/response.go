package members

import (
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// FirstKey returns the first key of the response to a get, or nil if there is none.
func FirstKey(r *etcdserverpb.ResponseOp) *mvccpb.KeyValue {
	if kvs := r.GetResponseRange().GetKvs(); len(kvs) > 0 {
		return kvs[0]
	}
	return nil
}

// Found returns what the responses to gets of the keys contain.
func Found(keys []string, responses []*etcdserverpb.ResponseOp) map[string]*mvccpb.KeyValue {
	found := make(map[string]*mvccpb.KeyValue, len(keys))
	for i, key := range keys {
		if kv := FirstKey(responses[i]); kv != nil {
			found[key] = kv
		}
	}
	return found
}
