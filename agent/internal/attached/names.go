package attached

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"github.com/picket-dev/picket/agent/teardown"
)

// attachmentName is how the attach-detach controller names the VolumeAttachment
// of a volume on a node.
func attachmentName(v teardown.Handle, node string) string {
	return fmt.Sprintf("csi-%x", sha256.Sum256([]byte(v.Handle+v.Driver+node)))
}

// csiPrefix begins the name of a CSI volume among a Node's attached ones.
const csiPrefix = "kubernetes.io/csi/"

// handleOf reads the driver and the handle out of that name.
func handleOf(name string) (teardown.Handle, bool) {
	rest, csi := strings.CutPrefix(name, csiPrefix)
	driver, handle, ok := strings.Cut(rest, "^")
	return teardown.Handle{Driver: driver, Handle: handle}, csi && ok && driver != "" && handle != ""
}

// iscsiName is how an in-tree iSCSI volume is named there.
func iscsiName(s *iscsiSource) string {
	return fmt.Sprintf("kubernetes.io/iscsi/%s:%s:%d", s.TargetPortal, s.IQN, s.Lun)
}

// isCeph reports whether the driver is ceph-csi's for images. Operators put
// something before its name, such as Rook its namespace.
func isCeph(driver string) bool {
	const name = "rbd.csi.ceph.com"
	return driver == name || strings.HasSuffix(driver, "."+name)
}

func number(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

// isName reports whether the API can have an object of that name.
func isName(text string) bool {
	return text != "" && len(text) <= 253 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}
