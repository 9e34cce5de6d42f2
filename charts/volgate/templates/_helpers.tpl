{{/* The labels of an object: (dict "root" $ "component" "webhook"). Without a component where it is of all of volgate. */}}
{{- define "volgate.labels" -}}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/name: volgate
app.kubernetes.io/part-of: volgate
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_") }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "volgate.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Spreads the pods of that name over the nodes, unless the values say otherwise: (dict "given" … "name" …). */}}
{{- define "volgate.spread" -}}
topologySpreadConstraints:
{{- if .given }}
{{ toYaml .given | indent 2 }}
{{- else }}
  # On two nodes where there are two; a cluster of one node still gets both.
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {app.kubernetes.io/name: {{ .name }}}
{{- end }}
{{- end }}

{{/* Tolerations, affinity and pull secrets, as far as there are any: (dict "root" $ "of" .Values.agent). */}}
{{- define "volgate.placement" -}}
{{- with .of.tolerations }}
tolerations:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}

{{/* The least that may be there of a part's pods. */}}
{{- define "volgate.budget" -}}
{{- if ne (toString .maxUnavailable) "" }}
maxUnavailable: {{ .maxUnavailable }}
{{- else }}
minAvailable: {{ .minAvailable }}
{{- end }}
{{- end }}

{{/* What Pod Security `restricted` asks of a container. */}}
{{- define "volgate.restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What it asks of a pod. */}}
{{- define "volgate.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "volgate.bases" -}}
{{- prepend .Values.additionalBasePaths .Values.basePath | uniq | toJson -}}
{{- end }}

{{/* Whether the controller is given a configuration: without one it has the default base. */}}
{{- define "volgate.configured" -}}
{{- if or .Values.provisioner.config (ne (include "volgate.bases" .) `["/opt/local-path-provisioner"]`) -}}true{{- end -}}
{{- end }}

{{/* The bases of the nodes, in the format of rancher's config.json. */}}
{{- define "volgate.config" -}}
{{- if .Values.provisioner.config -}}
{{ .Values.provisioner.config }}
{{- else -}}
{"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": {{ include "volgate.bases" . }}}]}
{{- end -}}
{{- end }}
