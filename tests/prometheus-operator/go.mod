// What the tests use of the Prometheus operator: its CustomResourceDefinitions, read from the module cache.
module oaas.io/oprc-crm/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.92.1
