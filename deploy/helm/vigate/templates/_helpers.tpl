{{- define "vigate.name" -}}
{{- if contains "vigate" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else -}}
{{ printf "%s-vigate" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "vigate.selector" -}}
app.kubernetes.io/name: vigate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "vigate.labels" -}}
{{ include "vigate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "vigate.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What values.schema.json can't say. */}}
{{- define "vigate.check" -}}
{{- if .Values.store.etcd.endpoints }}
{{- if not .Values.tls.secret }}
{{- fail "a cluster needs tls.secret: its nodes must have the same certificate, because clients pin it" }}
{{- end }}
{{- if and .Values.store.etcd.user (not .Values.store.etcd.passwordSecret) }}
{{- fail "store.etcd.user needs store.etcd.passwordSecret" }}
{{- end }}
{{- else if gt (int .Values.replicas) 1 }}
{{- fail "more than one node need a shared store: set store.etcd.endpoints, or replicas to 1" }}
{{- end }}
{{- end }}

{{/* The configuration file. */}}
{{- define "vigate.config" -}}
{{- $c := deepCopy .Values.config }}
{{- $_ := set $c "data" "/var/lib/vigate/data" }}
{{- $_ := set $c "listen" "0.0.0.0:8989" }}
{{- $_ := set $c "admin-password-file" "/etc/vigate/first-password/password" }}
{{- if .Values.tls.secret }}
{{- $_ := set $c "tls-cert" "/etc/vigate/tls/tls.crt" }}
{{- $_ := set $c "tls-key" "/etc/vigate/tls/tls.key" }}
{{- end }}
{{- if .Values.metrics.tokenSecret }}
{{- $_ := set $c "admin-listen" (printf "0.0.0.0:%d" (int .Values.metrics.port)) }}
{{- $_ := set $c "admin-token-file" "/etc/vigate/metrics/token" }}
{{- end }}
{{- with .Values.store.etcd }}
{{- if .endpoints }}
{{- $_ := set $c "store" (printf "etcd://%s/%s" (join "," .endpoints) .prefix) }}
{{- if .tlsSecret }}
{{- $_ := set $c "etcd-ca" "/etc/vigate/etcd/ca.crt" }}
{{- $_ := set $c "etcd-cert" "/etc/vigate/etcd/tls.crt" }}
{{- $_ := set $c "etcd-key" "/etc/vigate/etcd/tls.key" }}
{{- end }}
{{- if .user }}
{{- $_ := set $c "etcd-user" .user }}
{{- $_ := set $c "etcd-password-file" "/etc/vigate/etcd-password/password" }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $c }}
{{- end }}
