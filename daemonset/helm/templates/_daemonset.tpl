{{/* Puts the values into the DaemonSet. In: a list of the root and the object, which is changed. */}}
{{- define "pullfuse.daemonset" -}}
{{- $root := index . 0 -}}
{{- $values := $root.Values -}}
{{- $template := (index . 1).spec.template -}}
{{- $pod := $template.spec -}}
{{- $container := first $pod.containers -}}
{{- $image := $values.image -}}
{{- $tag := $image.tag | default $root.Chart.AppVersion -}}
{{- $name := ternary (printf "%s@%s" $image.repository $image.digest) (printf "%s:%s" $image.repository $tag) (not (empty $image.digest)) -}}
{{- $_ := set $container "image" $name -}}
{{- $_ := set $container "imagePullPolicy" $image.pullPolicy -}}
{{- with $values.imagePullSecrets }}{{ $_ := set $pod "imagePullSecrets" . }}{{ end -}}
{{- with $values.resources }}{{ $_ := set $container "resources" . }}{{ end -}}
{{- with $values.tolerations }}{{ $_ := set $pod "tolerations" . }}{{ end -}}
{{- $_ := set $pod "nodeSelector" (merge (dict) $pod.nodeSelector $values.nodeSelector) -}}
{{/* A new configuration rolls out node by node, as with kustomize; a bad one stops at the first. */}}
{{- $checksum := include "pullfuse.config" $root | sha256sum -}}
{{- $_ := set $template.metadata "annotations" (merge (dict "pullfuse.io/config" $checksum) $values.podAnnotations) -}}
{{- if eq ($values.capture | default "auto") "off" -}}
{{- $_ := unset $container.securityContext.capabilities "add" -}}
{{- end -}}
{{- $without := dict "auto" list "crio" (list "containerd") "k3s" (list "containerd" "crio") -}}
{{- $mounts := list -}}
{{- $volumes := list -}}
{{- range $mount := $container.volumeMounts -}}
{{- if not (has $mount.name (index $without $values.runtime)) }}{{ $mounts = append $mounts $mount }}{{ end -}}
{{- end -}}
{{- range $volume := $pod.volumes -}}
{{- if not (has $volume.name (index $without $values.runtime)) }}{{ $volumes = append $volumes $volume }}{{ end -}}
{{- end -}}
{{- if eq $values.runtime "k3s" -}}
{{- $folder := "/run/k3s/containerd" -}}
{{- $mounts = append $mounts (dict "name" "k3s" "mountPath" $folder "readOnly" true) -}}
{{- $volumes = append $volumes (dict "name" "k3s" "hostPath" (dict "path" $folder "type" "DirectoryOrCreate")) -}}
{{- end -}}
{{- $_ := set $container "volumeMounts" $mounts -}}
{{- $_ := set $pod "volumes" $volumes -}}
{{- end -}}
