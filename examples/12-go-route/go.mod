module example.com/tenants

go 1.24

require pelton v0.0.0

replace pelton => ../../sdk/go
