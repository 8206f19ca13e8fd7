module github.com/picket-dev/picket/test/tools/release

go 1.26.7

tool github.com/picket-dev/picket/test/tools/release/sbom

require github.com/CycloneDX/cyclonedx-go v0.12.0
