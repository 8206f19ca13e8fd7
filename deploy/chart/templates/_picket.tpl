{{/* The image, by its digest where there is one. */}}
{{- define "picket.image" -}}
{{- $i := .Values.image -}}
{{- if $i.digest -}}
{{ $i.repository }}@{{ $i.digest }}
{{- else -}}
{{ $i.repository }}:{{ $i.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Whether this release makes the namespace: Helm makes its own release's. */}}
{{- define "picket.makesNamespace" -}}
{{- if ne .Release.Namespace .Values.namespace }}yes{{ end -}}
{{- end -}}

{{/* The first CRD of the chart that the cluster has in another version, or, in an
     upgrade, not at all. Without a cluster to ask, none. */}}
{{- define "picket.staleCRD" -}}
{{- $found := dict -}}
{{- $online := lookup "v1" "Namespace" "" "kube-system" -}}
{{- range $path, $_ := .Files.Glob "crds/*.yaml" -}}
{{- $want := $.Files.Get $path | fromYaml -}}
{{- $live := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $want.metadata.name -}}
{{- if $live -}}
{{- if ne (toJson $live.spec.versions) (toJson $want.spec.versions) }}{{ $_ := set $found "name" $want.metadata.name }}{{ end -}}
{{- else if and $online $.Release.IsUpgrade }}{{ $_ := set $found "name" $want.metadata.name }}{{ end -}}
{{- end -}}
{{- with $found.name }}{{ . }}{{ end -}}
{{- end -}}

{{/* Where the kubelet finds an agent that listens there: at the address, or on the
     loopback where that is every one. */}}
{{- define "picket.probeHost" -}}
{{- $host := regexReplaceAll ":[0-9]+$" . "" | trimPrefix "[" | trimSuffix "]" -}}
{{- if or (eq $host "") (eq $host "0.0.0.0") -}}127.0.0.1
{{- else if eq $host "::" -}}::1
{{- else -}}{{ $host }}{{ end -}}
{{- end -}}
