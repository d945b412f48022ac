{{/* config.toml: the user's, or the shipped one with the values put in. */}}
{{- define "pullfuse.config" -}}
{{- $changed := dict -}}
{{- range $value, $key := dict "mode" "mode" "capture" "runtime.capture" "maxAttempts" "limits.max_attempts" "minElapsed" "limits.min_elapsed" -}}
{{- $given := index $.Values $value -}}
{{- if not (kindIs "invalid" $given) -}}
{{- if $.Values.config -}}
{{- fail (printf "config is given, so %s = %v has no effect: write %s into config" $value $given $key) -}}
{{- end -}}
{{- $_ := set $changed $key $given -}}
{{- end -}}
{{- end -}}
{{- if $.Values.config -}}
{{- $.Values.config -}}
{{- else if $changed -}}
{{- $config := $.Files.Get "files/config.toml" | fromToml -}}
{{- range $key, $given := $changed -}}
{{- if kindIs "float64" $given }}{{ $given = int64 $given }}{{ end -}}
{{- $table := $config -}}
{{- $path := splitList "." $key -}}
{{- range $part := initial $path -}}
{{- if not (hasKey $table $part) }}{{ $_ := set $table $part dict }}{{ end -}}
{{- $table = index $table $part -}}
{{- end -}}
{{- $_ := set $table (last $path) $given -}}
{{- end -}}
{{- toToml $config -}}
{{- else -}}
{{- $.Files.Get "files/config.toml" -}}
{{- end -}}
{{- end -}}
