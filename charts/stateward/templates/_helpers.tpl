{{- define "stateward.fullname" -}}
{{- $name := .Values.nameOverride | default "stateward" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ .Release.Name | trunc (sub 49 (len $name) | int) | trimSuffix "-" }}-{{ $name }}
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
{{ include "stateward.labelsAnd" (list . dict) }}
{{- end -}}

{{- /* The labels of an object and, as second of the list, some of its own. No value can replace those by
which pods are selected. */}}
{{- define "stateward.labelsAnd" -}}
{{- $root := first . -}}
{{- $ours := include "stateward.selector" $root | fromYaml -}}
{{- $_ := set $ours "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $ours "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $ours "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version) -}}
{{- toYaml (merge $ours (last .) $root.Values.commonLabels) -}}
{{- end -}}

{{- /* The labels of the pods of a Deployment. `own` are the values that go before those for all pods. */}}
{{- define "stateward.podLabels" -}}
{{- $ours := include .selector .root | fromYaml -}}
{{- include "stateward.labelsAnd" (list .root (merge $ours (.own.podLabels | default .root.Values.podLabels))) -}}
{{- end -}}

{{- define "stateward.canary" -}}
{{ .Values.canary.namespace | default (printf "%s-canary" (include "stateward.fullname" .)) }}
{{- end -}}

{{- define "stateward.account" -}}
{{ .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "stateward.fullname" .) "default") }}
{{- end -}}

{{- /* The webhook knows the controller's writes by this name, so it is always the same. */}}
{{- define "stateward.controllerAccount" -}}
stateward-controller
{{- end -}}

{{- define "stateward.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.image.registry -}}
{{- /* The first part of a repository is a registry if it has a dot or a port. */ -}}
{{- $repository = printf "%s/%s" . (regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $repository "") -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
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

{{- /* Where pods run. `own` are the values that go before those for all pods; pods of a Deployment have a
`selector`. */}}
{{- define "stateward.placement" -}}
{{- $values := .root.Values }}
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.priorityClassName | default $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if .selector }}
topologySpreadConstraints:
  {{- with $values.topologySpreadConstraints }}
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
{{- end }}
{{- with .own.nodeSelector | default $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations | default $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.affinity | default $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- else }}
{{- if not .selector }}
# A node of a replica has the image, also while the registry cannot be reached.
affinity:
  podAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "stateward.selector" .root | nindent 14 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "stateward.hookLabels" -}}
{{- /* Not those that the Service selects. */ -}}
{{- $ours := dict "app.kubernetes.io/name" .name "app.kubernetes.io/instance" .root.Release.Name -}}
{{- toYaml (merge $ours .root.Values.commonLabels) -}}
{{- end -}}

{{- /* A probe of the health port. */}}
{{- define "stateward.probe" -}}
{{- toYaml (merge (dict "httpGet" (dict "path" .path "port" "health")) .timing) -}}
{{- end -}}
