#!/bin/sh
# start.sh: make this container's own host keys, let AUTHORIZED_KEY in as user pi, serve SSH.
set -eu

mkdir -p /run/sshd /home/pi/.ssh
ssh-keygen -A >/dev/null
if [ -n "${AUTHORIZED_KEY:-}" ]; then
    printf '%s\n' "$AUTHORIZED_KEY" >/home/pi/.ssh/authorized_keys
fi
chmod 0700 /home/pi/.ssh
chown -R 1000:1000 /home/pi/.ssh

# The file that stands for the chip's device node; it is locked while a program uses it.
if [ ! -e /dev/hailo0 ]; then
    touch /dev/hailo0
    chmod 0666 /dev/hailo0
fi

# The folder of the user's session, which systemd makes on a real Pi.
mkdir -p /run/user/1000
chmod 0700 /run/user/1000
chown 1000:1000 /run/user/1000

# sshd does not hand on its own environment; what the stand-ins play is said in its settings.
settings=$(env | grep '^HEFSMITH_EMULATED_' || true)
cat >/etc/ssh/sshd_config <<END
Port 22
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 200
MaxSessions 200
PrintMotd no
Subsystem sftp /usr/lib/openssh/sftp-server
END
{
    printf 'SetEnv "XDG_RUNTIME_DIR=/run/user/1000"'
    [ -z "$settings" ] || printf '%s\n' "$settings" | while read -r setting; do printf ' "%s"' "$setting"; done
    printf '\n'
} >>/etc/ssh/sshd_config

exec "$(command -v sshd)" -D -e
