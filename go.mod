module github.com/vigate/vigate

go 1.26.0
