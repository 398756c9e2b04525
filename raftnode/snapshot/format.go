package snapshot

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

const (
	magic         = "conchsn\n"
	formatVersion = 1
	headerBytes   = 48 // without conf and check
	checkBytes    = 4
	blockHeader   = 8
	trailerBytes  = 48

	suffix     = ".snap"
	tempSuffix = ".snap.tmp"
	// Of one that comes from another node, while it is written and when it is whole. They end as temporary ones do.
	receivingSuffix = ".receiving" + tempSuffix
	receivedSuffix  = ".received" + tempSuffix
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var le = binary.LittleEndian

// encodeHeader is the header of a file.
func encodeHeader(m Meta) []byte {
	p := make([]byte, headerBytes, headerBytes+len(m.Conf)+checkBytes)
	copy(p, magic)
	le.PutUint32(p[8:], formatVersion)
	le.PutUint32(p[12:], uint32(len(m.Conf)))
	le.PutUint64(p[16:], m.Index)
	le.PutUint64(p[24:], m.Term)
	le.PutUint64(p[32:], m.Cluster)
	le.PutUint64(p[40:], m.Group)
	p = append(p, m.Conf...)
	return le.AppendUint32(p, crc32.Checksum(p, castagnoli))
}

// blockCheck covers the number of the block too, so that two that changed
// places do not check.
func blockCheck(number uint64, p []byte) uint32 {
	var n [8]byte
	le.PutUint64(n[:], number)
	return crc32.Update(crc32.Checksum(n[:], castagnoli), castagnoli, p)
}

// baseName is the name of a snapshot without suffix: sorted by name, snapshots
// are sorted by index.
func baseName(index, term uint64) string {
	return fmt.Sprintf("%016x-%016x", index, term)
}

// parseName reads a name with the given suffix that baseName made.
func parseName(name, suffix string) (index, term uint64, ok bool) {
	base, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return 0, 0, false
	}
	a, b, _ := strings.Cut(base, "-")
	index, err := strconv.ParseUint(a, 16, 64)
	if err != nil {
		return 0, 0, false
	}
	term, err = strconv.ParseUint(b, 16, 64)
	return index, term, err == nil && baseName(index, term) == base
}

// trailerCheck is the check of what follows it in the trailer.
func trailerCheck(trailer []byte) uint32 {
	return crc32.Checksum(trailer[8:], castagnoli)
}
