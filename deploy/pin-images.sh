#!/bin/sh
# Prints the images that a deployment is built on and runs, each with the digest that its
# tag has now, as lines for .env:
#   sh deploy/pin-images.sh >> .env
# Run it again to take newer images: the last line of a name counts. A tag can be moved to
# another image and a digest cannot, so nothing here is built or run by its tag alone.
set -eu

while read -r name image; do
	docker pull --quiet "$image" >&2
	digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$image" | sed -n '1s/.*@//p')
	case $digest in
	sha256:*) echo "$name=$image@$digest" ;;
	*)
		echo "pin-images: $image has no digest; was it built here?" >&2
		exit 1
		;;
	esac
done <<'IMAGES'
GO_IMAGE golang:1.26-alpine
POSTGRES_IMAGE postgres:17-alpine
REDIS_IMAGE redis:7-alpine
IMAGES
