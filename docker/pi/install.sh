#!/bin/sh
# install.sh: put the stand-ins' libraries where the system's Python finds them, and make the
# user pi. As on a real Pi, programs use /usr/bin/python3 and the system's packages.
set -eu
wheels=/build/wheels
site=$(python3 -c 'import sys; print("/usr/local/lib/python%d.%d/dist-packages" % sys.version_info[:2])')
mkdir -p "$site"

if ls "$wheels"/*.whl >/dev/null 2>&1; then
    # A wheel is an archive; unpacking needs no pip and no network.
    for wheel in "$wheels"/*.whl; do
        python3 -m zipfile -e "$wheel" "$site"
    done
else
    if [ -f "$wheels/pip.conf" ]; then
        export PIP_CONFIG_FILE="$wheels/pip.conf"
    fi
    apt-get update
    apt-get install -y --no-install-recommends python3-pip
    python3 -m pip install --break-system-packages --no-cache-dir --no-deps \
        --target "$site" -r /build/requirements.txt
    apt-get purge -y --autoremove python3-pip
    rm -rf /var/lib/apt/lists/*
fi

# A login by SSH has no PYTHONPATH of ours: a path file is what a package would be.
cat >"$site/hefsmith-emulator.pth" <<END
/opt/hefsmith/docker/emulator/packages
/opt/hefsmith/docker/worker
/opt/hefsmith
END
mkdir -p /usr/local/bin
ln -sf /opt/hefsmith/docker/emulator/bin/hailortcli /usr/local/bin/hailortcli

grep -q '^root:' /etc/passwd || echo 'root:x:0:0:root:/root:/bin/sh' >>/etc/passwd
grep -q '^root:' /etc/group || echo 'root:x:0:' >>/etc/group
grep -q '^sshd:' /etc/passwd || echo 'sshd:x:101:65534::/run/sshd:/usr/sbin/nologin' >>/etc/passwd
grep -q '^pi:' /etc/passwd || echo 'pi:x:1000:1000:Pi:/home/pi:/bin/sh' >>/etc/passwd
grep -q '^pi:' /etc/group || echo 'pi:x:1000:' >>/etc/group
mkdir -p /home/pi /root /tmp
chmod 1777 /tmp
chown 1000:1000 /home/pi
# A root file system that was only unpacked has no PAM set-up, and sudo refuses without one.
for part in auth account password session session-noninteractive; do
    [ -e "/etc/pam.d/common-$part" ] \
        || printf '%s required pam_permit.so\n' "${part%-noninteractive}" >"/etc/pam.d/common-$part"
done
if [ -d /etc/sudoers.d ]; then
    echo 'pi ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/pi
    chmod 0440 /etc/sudoers.d/pi
fi
