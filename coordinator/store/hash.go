package store

import "crypto/sha256"

// Hash is the SHA-256 of what a Snapshot taken now holds. It walks all the
// state at once, and no batch is open; whoever cannot wait for it can hash a
// Snapshot piece by piece.
func (s *Store) Hash() [sha256.Size]byte {
	w := s.Snapshot()
	defer w.Close()
	h := sha256.New()
	buf := make([]byte, 0, 2*snapshotPiece)
	for {
		piece, done := w.Next(buf)
		h.Write(piece)
		if done {
			return [sha256.Size]byte(h.Sum(nil))
		}
	}
}
