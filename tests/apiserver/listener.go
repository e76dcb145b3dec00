// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net"
	"strings"
	"sync"
)

// mergedListener accepts on several addresses; it names the first as its own.
type mergedListener struct {
	listeners []net.Listener
	accepted  chan net.Conn
	closed    chan struct{}
	once      sync.Once
}

// listenAll listens on a comma separated list of ADDR:PORT.
func listenAll(addresses string) (*mergedListener, error) {
	m := &mergedListener{accepted: make(chan net.Conn), closed: make(chan struct{})}
	for address := range strings.SplitSeq(addresses, ",") {
		listener, err := net.Listen("tcp", strings.TrimSpace(address))
		if err != nil {
			m.Close()
			return nil, err
		}
		m.listeners = append(m.listeners, listener)
	}
	for _, listener := range m.listeners {
		go m.serve(listener)
	}
	return m, nil
}

func (m *mergedListener) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		select {
		case m.accepted <- conn:
		case <-m.closed:
			conn.Close()
			return
		}
	}
}

func (m *mergedListener) Accept() (net.Conn, error) {
	select {
	case conn := <-m.accepted:
		return conn, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *mergedListener) Close() error {
	m.once.Do(func() {
		close(m.closed)
		for _, listener := range m.listeners {
			listener.Close()
		}
	})
	return nil
}

func (m *mergedListener) Addr() net.Addr { return m.listeners[0].Addr() }

func (m *mergedListener) String() string {
	var all []string
	for _, listener := range m.listeners {
		all = append(all, "https://"+listener.Addr().String())
	}
	return strings.Join(all, " ")
}
