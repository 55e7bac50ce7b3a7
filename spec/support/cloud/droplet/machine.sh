#!/bin/sh
# One machine of the local cloud (machines.lua): machine.sh NAME ADDRESS FOLDER IMAGES
#
# Does what it reads, one verb a line, in order, and answers each with "VERB CODE". At the end of standard input, or when
# the machine is destroyed, nothing of it is left. FOLDER has the seed of cloud-init in seed/; IMAGES, the data folder of
# a stopped dockerd, is what its own engine starts with. The engine that it runs on is DOCKER_HOST's.
set -u
name=$1 address=$2 folder=$3 images=$4

boot() {
  sh "${0%/*}/clone.sh" "$images" "$folder/docker" &&
    docker run -d --name "$name" --hostname "$name" --network droplets --ip "$address" \
      --cap-add ALL --cap-drop SYS_RESOURCE --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
      --cgroupns private --tmpfs /run --tmpfs /run/lock --env container=docker \
      -v "$folder/seed:/var/lib/cloud/seed/nocloud:ro" -v "$folder/docker:/var/lib/docker" droplet
}

destroy() {
  docker rm -f -v "$name"
  rm -rf --one-file-system "$folder"
  ! docker container inspect "$name" && [ ! -e "$folder" ]
}

while read -r verb; do
  case $verb in
    boot) boot ;;
    stop) docker stop -t 10 "$name" ;;
    start | restart | kill) docker "$verb" "$name" ;;
    destroy) break ;;
  esac >>"$folder.log" 2>&1
  echo "$verb $?"
done
destroy >>"$folder.log" 2>&1
echo "destroy $?"
