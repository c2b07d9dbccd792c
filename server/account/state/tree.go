package state

import (
	"context"

	"ferry/server/storage"
)

// TreeOf asks a storage.
func TreeOf(s storage.Storage) Tree { return stored{s} }

type stored struct{ storage.Storage }

// Count implements Tree.
func (s stored) Count(ctx context.Context) (Usage, error) {
	var u Usage
	for e, err := range s.List(ctx, "/", true) {
		if err != nil {
			return Usage{}, err
		}
		if e.Kind == storage.File {
			u = u.plus(Usage{e.Length, 1})
		}
	}
	return u, nil
}

// Staged implements Tree.
func (s stored) Staged(ctx context.Context) ([]Upload, error) {
	var list []Upload
	for spec, err := range s.Uploads(ctx) {
		if err != nil {
			return nil, err
		}
		list = append(list, Upload{spec.ID, spec.Path, spec.Length})
	}
	return list, nil
}
