{{- define "stateward.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains "stateward" .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}-stateward
{{- end -}}
{{- end -}}

{{- define "stateward.selector" -}}
app.kubernetes.io/name: stateward
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* The Service and the budget mean the webhook alone. */}}
{{- define "stateward.webhookSelector" -}}
{{ include "stateward.selector" . }}
app.kubernetes.io/component: webhook
{{- end -}}

{{- define "stateward.controllerSelector" -}}
{{ include "stateward.selector" . }}
app.kubernetes.io/component: controller
{{- end -}}

{{- define "stateward.labels" -}}
{{ include "stateward.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "stateward.account" -}}
{{ .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "stateward.fullname" .) "default") }}
{{- end -}}

{{- /* The webhook knows the controller's writes by this name, so it is always the same. */}}
{{- define "stateward.controllerAccount" -}}
stateward-controller
{{- end -}}

{{- define "stateward.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "stateward.tlsSecret" -}}
{{- if eq .Values.certificates.source "secret" -}}
{{ required "certificates.secret.name has to name the Secret with the certificate" .Values.certificates.secret.name }}
{{- else -}}
{{ include "stateward.fullname" . }}-tls
{{- end -}}
{{- end -}}

{{- /* What holds the authority of clients; nothing where everybody is answered. */}}
{{- define "stateward.clientCA" -}}
{{- with .Values.webhook.clientCA -}}
{{- if and .secret .configMap -}}
{{- fail "webhook.clientCA takes a Secret or a ConfigMap, not both" -}}
{{- end -}}
{{- if and (or .names .testSecret) (not (or .secret .configMap)) -}}
{{- fail "webhook.clientCA holds no authority (secret or configMap), so everybody would be answered" -}}
{{- end -}}
{{- or .secret .configMap -}}
{{- end -}}
{{- end -}}

{{- /* What becomes of growth, where no scope says otherwise; nothing where the policy is somebody else's. */}}
{{- define "stateward.resize" -}}
{{- if not .Values.existingPolicyConfigMap -}}
{{- $resize := .Values.policy.resize -}}
{{- if kindIs "map" $resize -}}
{{- $resize = $resize.mode -}}
{{- end -}}
{{- $resize | default (.Values.controller.enabled | ternary "orchestrate" "reject") -}}
{{- end -}}
{{- end -}}

{{- /* Which right a request to grow needs: claims or sets. */}}
{{- define "stateward.authorize" -}}
{{- $resize := .Values.policy.resize -}}
{{- if kindIs "map" $resize -}}
{{- $resize.authorize | default "claims" -}}
{{- else -}}
claims
{{- end -}}
{{- end -}}

{{- /* From how many seconds before its end on a certificate should have been replaced, which happens when
a third of its life is left: half of that, and `most` at most. */}}
{{- define "stateward.expiresSoon" -}}
{{- $start := toDate "2006-01-02" "2000-01-01" -}}
{{- $life := (mustDateModify .lifetime $start).Sub $start -}}
{{- min .most (div (int64 $life.Seconds) 6) -}}
{{- end -}}

{{- define "stateward.listen" -}}
{{- contains ":" . | ternary (printf "[%s]" .) . -}}
{{- end -}}

{{- /* Where pods run, for webhook and controller alike. */}}
{{- define "stateward.placement" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  {{- with .root.Values.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
  {{- else }}
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include $.selector $.root | nindent 8 }}
  {{- end }}
  {{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "stateward.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "stateward.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
