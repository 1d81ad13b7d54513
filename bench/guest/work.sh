# SPDX-License-Identifier: MIT
# The shell item: work.sh ROUNDS. Built-ins, subshells and programs in the mix that scripts have.
round=0
total=0
while [ $round -lt "$1" ]; do
    round=$((round + 1))
    i=0
    word=origami
    while [ $i -lt 200 ]; do
        i=$((i + 1))
        total=$(((total * 31 + i + round) % 1000003))
        case $((total % 5)) in
        0) word=${word%?}x ;;
        1) word=y${word#?} ;;
        *) word=$word ;;
        esac
    done
    sub=$(echo "$word $total")
    line=$(busybox seq 1 20 | busybox sed -n 's/7/'"${word%%[xi]*}"'/p')
    set -- "$1" $line
    echo "$round $total $sub $#"
    set -- "$1"
done
