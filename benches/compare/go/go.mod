module sedge.invalid/compare

go 1.19
