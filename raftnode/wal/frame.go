package wal

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	frameMagic  = 0xc09c41a7
	headerBytes = 32
	frameAlign  = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var le = binary.LittleEndian

// header is the fixed part of a frame, see the package comment.
type header struct {
	length       int
	payloadCheck uint32
	headerCheck  uint32
	seq          uint64
	durable      int64
}

// frameSize is the size of a frame with n bytes of payload.
func frameSize(n int) int {
	return headerBytes + (n+frameAlign-1)/frameAlign*frameAlign
}

// sealFrame fills in the header of frame, whose payload and padding are in place,
// and returns it. previous is the header check of the frame before.
func sealFrame(frame []byte, payload int, salt, previous uint32, seq uint64, durable int64) header {
	h := header{length: payload, seq: seq, durable: durable}
	h.payloadCheck = crc32.Update(previous, castagnoli, frame[headerBytes:])
	le.PutUint32(frame[0:], frameMagic)
	le.PutUint32(frame[4:], uint32(h.length))
	le.PutUint32(frame[8:], h.payloadCheck)
	le.PutUint64(frame[16:], h.seq)
	le.PutUint64(frame[24:], uint64(h.durable))
	h.headerCheck = headerCheck(frame, salt)
	le.PutUint32(frame[12:], h.headerCheck)
	return h
}

// parseHeader reads the header at the start of p; ok when its check holds.
func parseHeader(p []byte, salt uint32) (h header, ok bool) {
	if len(p) < headerBytes || le.Uint32(p) != frameMagic {
		return header{}, false
	}
	h = header{
		length:       int(le.Uint32(p[4:])),
		payloadCheck: le.Uint32(p[8:]),
		headerCheck:  le.Uint32(p[12:]),
		seq:          le.Uint64(p[16:]),
		durable:      int64(le.Uint64(p[24:])),
	}
	return h, h.headerCheck == headerCheck(p, salt) && h.durable >= 0
}

func headerCheck(p []byte, salt uint32) uint32 {
	return crc32.Update(crc32.Update(salt, castagnoli, p[:12]), castagnoli, p[16:headerBytes])
}
