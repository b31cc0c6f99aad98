package main

import (
	"fmt"
	"net"
)

// The buffer that each connection has to itself, in every server.
const bufferBytes = 1024

func serve() {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	check(err)
	fmt.Printf("listening on %s\n", listener.Addr())
	for {
		connection, err := listener.Accept()
		check(err)
		go echo(connection)
	}
}

// net sets TCP_NODELAY by itself.
func echo(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, bufferBytes)
	for {
		count, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err := connection.Write(buffer[:count]); err != nil {
			return
		}
	}
}
