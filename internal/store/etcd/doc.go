// Package etcd is the store that the nodes of a cluster share.
//
// A commit is one etcd transaction, and the store's revisions are etcd's. The parts are packages:
//
//   - layout: the keys, and the encoding of records
//   - members: which member of etcd a request goes to, and what an error says about it
//   - fence: transactions whose outcome is always found out
//   - lag: whether this node is up to date
//
// # How a commit is written
//
//	Commit ──┐
//	Commit ──┼──> queue ──> writer ──> fence ──> one etcd transaction:
//	Commit ──┘                                     if    the conditions of all its commits hold
//	                                               and   the fence is as this node left it
//	Touch ───┬────────────> bulk fence ──> etcd    then  write their records, the head, the fence
//	Sweep ───┘
//
//	etcd ──watch of the records──> Watch ──> store.Mirror ──> the views of this node
//
// The queue holds the commits that callers wait for. The writer takes as many of them as can share
// a transaction: a batch. No commit of a batch names a record that another one writes, so every
// order of them is valid. If the conditions don't hold, the writer reads the records that they are
// about, answers the commits to blame with store.ErrConflict, and tries the others again.
//
// A commit writes its own records, the head, and this node's fence. Other nodes write neither the
// records, unless they want to change the same ones, nor the fence, and they never compare the
// head. So commits of different nodes don't make each other fail. The head is a key without a
// value. Its revision tells every node what the newest commit is.
//
// A fence is a key that only this node writes. By it the node finds out what became of a transaction
// whose answer was lost: see package fence. Touches and sweeps have a fence of their own, so that
// commits don't wait for them.
//
// The node that sweeps is the leader. It holds the key sweep, which is attached to its lease, so that
// another node can become the leader when it has died.
//
// # How a node stays up to date
//
// Watch first delivers a snapshot, read in pages at one revision, and then etcd's watch from there.
// If the watch is interrupted, it goes on where it was. If etcd has compacted what is missing, a new
// snapshot follows.
//
// An open connection does not prove that a node is up to date. So the store asks a quorum for the
// head, several times within MaxLag, and compares: see package lag. Fresh returns an error if the
// node may have missed commits for longer than that. It then refuses all calls.
package etcd
