// Package password keeps passwords as bcrypt hashes, and checks what visitors
// give.
//
// It must not know who asks for one, nor where hashes are kept.
package password

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

// MaxBytes is the longest password: bcrypt looks at no more.
const MaxBytes = 72

// cost is 2^10 rounds, bcrypt's own default: about 50 ms on a processor of 2020.
const cost = bcrypt.DefaultCost

// Hash returns the bcrypt hash of a password. The error completes "the password
// …".
func Hash(password string) (string, error) {
	switch {
	case password == "":
		return "", errors.New("is empty: choose one")
	case len(password) > MaxBytes:
		return "", fmt.Errorf("takes %d bytes: choose one of at most %d", len(password), MaxBytes)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	return string(hash), err
}
