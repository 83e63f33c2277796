package flagstest

func Open(durable bool) {}
