# impair.sh delay|loss|told: spoils the packets of this network namespace, and says by what means.
# "told" says how many packets were dropped.
#
# netem does both. A kernel without it drops packets in its firewall instead, and is slow by a narrow
# link, whose packets wait for each other.
set -eu
set -- "$1" $(ip -o -4 address show scope global)
order=$1 device=$3

case $order in
delay)
    if tc qdisc add dev "$device" root netem delay 100ms 2>/dev/null; then
        echo "netem, 100 ms"
    else
        tc qdisc add dev "$device" root tbf rate 256kbit burst 2kb latency 10s
        echo "a link of 256 kbit/s; this kernel has no netem"
    fi
    ;;
loss)
    if tc qdisc add dev "$device" root netem loss 10% 2>/dev/null; then
        echo "netem, 10 %"
    else
        nft add table inet spoiled
        nft add chain inet spoiled in '{ type filter hook input priority 0; }'
        nft add rule inet spoiled in numgen random mod 100 '<' 10 counter drop
        echo "the firewall, 10 %; this kernel has no netem"
    fi
    ;;
told)
    { tc -s qdisc show dev "$device"; nft list ruleset; } |
        sed -n -e 's/.*dropped \([0-9]*\).*/\1/p' -e 's/.*counter packets \([0-9]*\).*/\1/p' |
        sort -n | tail -n 1
    ;;
esac
