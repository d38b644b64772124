#!/bin/sh
# journalctl.sh: the last lines of the unit that is named behind -u, as user_systemd.py keeps them.
unit=
while [ $# -gt 0 ]; do
    case $1 in
        -u | --unit | --user-unit) unit=$2; shift ;;
        _SYSTEMD_USER_UNIT=*) unit=${1#*=} ;;
        --unit=* | --user-unit=*) unit=${1#*=} ;;
    esac
    shift
done
exec tail -n 50 "$XDG_RUNTIME_DIR/$unit.log"
